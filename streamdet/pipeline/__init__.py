"""Runs: sources on their way through a model and a tracker."""
