"""The codecs that send samples, and how they were trained."""
