"""Tests of streamdet.explain."""
