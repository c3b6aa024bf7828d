"""Sessions on a GPU: images are copied, fitted, computed and suppressed there, ordered by streams and events alone."""
