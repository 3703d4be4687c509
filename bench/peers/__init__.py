"""One program a package: each maps a graph of instructions to that package and lets it optimize them.

They are run by the interpreter of another environment, which knows the package and nothing of this product: they are
files to execute, not modules to import. `described.py` is what they share.
"""
