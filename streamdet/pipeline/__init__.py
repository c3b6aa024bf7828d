"""Runs: sources that are read, detected in and tracked in, and their results."""
