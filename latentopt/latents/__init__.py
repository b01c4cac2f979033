"""Channels: how a latent crosses from encoder to decoder."""

from latentopt.latents.prior import Prior

__all__ = ["Prior"]
