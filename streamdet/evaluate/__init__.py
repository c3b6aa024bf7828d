"""Scores of finished output against ground truth."""
