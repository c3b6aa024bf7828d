"""Track files: a file of this folder for each format, and `formats` for all of them."""
