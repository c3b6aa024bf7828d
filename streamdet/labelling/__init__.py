"""Drafts labels for a user's own video, which a person corrects and a training learns from."""
