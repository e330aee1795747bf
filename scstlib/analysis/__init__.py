"""What is read off a fitted :class:`scstlib.models.protocol.LatentFlow`."""
