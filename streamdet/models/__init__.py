"""Model tables, blocks and weights: a YAML table in, a torch module out."""
