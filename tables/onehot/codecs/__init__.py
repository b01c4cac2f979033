"""Codecs of feature maps, and how they are trained."""
