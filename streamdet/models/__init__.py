"""Networks from YAML tables and weights files."""
