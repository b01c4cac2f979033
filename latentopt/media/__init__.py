"""Pictures in and out: images, clips, downloads."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
"""Of the files in a folder that are taken for images."""
