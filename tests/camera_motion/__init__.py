"""Tests of streamdet.camera_motion."""
