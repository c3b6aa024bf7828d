"""What a detected thing looks like, as a vector."""
