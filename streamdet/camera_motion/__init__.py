"""Camera motion between frames, estimated from the background of the images."""
