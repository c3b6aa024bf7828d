"""Frames on a GPU: copied, fitted, computed and suppressed there, ordered by streams and events alone."""
