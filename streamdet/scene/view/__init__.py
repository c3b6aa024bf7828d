"""The camera: where it looks, how it sways and what its sensor records."""
