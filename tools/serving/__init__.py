"""What the mock endpoint and the proxy have in common as servers: HTTP/1.1, connections, patience, the foreground."""
