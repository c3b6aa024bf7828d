"""Frames on a GPU: copied, fitted, detected in and suppressed there, ordered by streams and events alone."""
