"""Wrapped codecs: from a trained model and a few words to files and back."""
