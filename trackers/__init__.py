"""Multi-object tracking on NumPy arrays: detections of each frame in, tracks with ids out, without an image.

Reading order: `types`, `kalman`, `rotated`, `crowds`, `association`, `tracks`, `decisions` and `tracker` are common;
`sort`, `ocsort`, `bytetrack`, `botsort` and `streamsort`, with `scene`, hold one tracker each; `config`, with
`foreign`, makes them by name; `mot`, `smoothing` and `offline` are for whole sequences.

Part of the distribution streamdet.
"""
