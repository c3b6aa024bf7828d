"""Images in, boxes out."""
