"""Shares a device among runs: lanes of frames, slots, and the threads that their stages run in."""
