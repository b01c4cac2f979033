"""One-hot max against integers (Löhdefink et al., CVPR workshops 2022), Figures 3 and 4."""
