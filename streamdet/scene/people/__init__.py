"""Persons: a pose and an outfit make a body."""
