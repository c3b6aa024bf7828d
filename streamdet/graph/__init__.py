"""A model as one graph, pixels in and rows out, that other runtimes can run."""
