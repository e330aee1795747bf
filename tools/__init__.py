"""Scripts of the repository itself: set-up, pairing, the build of the book and its checks."""
