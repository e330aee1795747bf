"""What is read off a fitted model with a latent flow (:class:`scstlib.models.latent_flow`)."""
