"""The number of the protocol, under which a run's replies were asked for and its decisions made."""

PROTOCOL = 3
"""Raised by one whenever a prompt or a decision rule changes, so that old runs can tell."""
