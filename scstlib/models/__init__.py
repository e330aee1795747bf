"""Models: one file a method, in two families, temporal and spatial."""
