"""Pictures in and out: images, clips, downloads."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
"""Of the files in a folder that are taken for images."""

MAX_PIXELS = 1 << 26
"""Default limit on the size of images that a codec writes and reads, 8192 x 8192."""
