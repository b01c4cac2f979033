"""Pictures in and out: images, clips, downloads."""
