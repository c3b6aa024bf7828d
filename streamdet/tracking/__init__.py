"""From detections to tracks: the trackers of the package `trackers` in a video."""
