"""Cameras around the clock: ``streamdet serve``, a face over one `Pipeline` and a `Run` per camera."""
