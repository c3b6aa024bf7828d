"""Decode and encode: the only package that imports PyAV."""
