"""The codecs of the paper's Figures 5 and 6, and how they are trained: a TOML file per curve."""
