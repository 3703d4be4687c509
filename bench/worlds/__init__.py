"""Planted-fault worlds: generated tasks whose faults are known, for the simulated model."""
