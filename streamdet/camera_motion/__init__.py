"""How the camera moved between two frames."""
