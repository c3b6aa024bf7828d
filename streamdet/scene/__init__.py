"""A rendered street with exact ground truth: for tests, for the demo, and beside photographs for training."""
