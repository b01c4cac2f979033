"""Training the codecs of the figures, and what is measured on the way."""
