"""Data sets: manifests, files with checksums, loaders and the simulated organism."""
