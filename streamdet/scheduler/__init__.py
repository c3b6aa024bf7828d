"""Shares a device among runs: lanes of frames, slots, and the threads that run the stages."""
