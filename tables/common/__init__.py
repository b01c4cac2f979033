"""What tables of all papers share: codecs, data, rows and their places, reports, plots."""
