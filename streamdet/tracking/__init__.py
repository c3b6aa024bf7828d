"""Tracking in videos: the trackers of the package `trackers` with a clock, camera motion and appearance."""
