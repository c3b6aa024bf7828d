"""What can compute a model, a file per runtime, each imported only where it is used."""
