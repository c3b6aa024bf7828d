"""Labelled images in YOLO format: what a data file states, what the labels say, and what is wrong with them."""
