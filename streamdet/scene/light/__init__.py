"""Sun, sky, lamps and weather, and what they do to a picture."""
