"""What the tables about samples share: measurements, and other codecs to compare with."""
