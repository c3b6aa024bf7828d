"""What computes a model: sessions on every runtime, the graph that they share, and how they are found."""
