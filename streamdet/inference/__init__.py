"""Runs models: the interface of a session, a session for each runtime, and the choice between them."""
