"""Pictures of data, trainings and scores, as PNG."""
