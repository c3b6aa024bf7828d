"""Multi-object tracking on NumPy arrays: boxes of a frame in, boxes with identities out. It knows no image."""
