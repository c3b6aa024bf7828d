"""Training of detectors: data, targets, losses and the loop."""
