"""Models of this package inside other people's benchmarks, which are optional to install."""
