"""Detection: from images to boxes."""
