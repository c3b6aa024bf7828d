"""Searches the settings of a tracker that score best on labelled sequences."""
