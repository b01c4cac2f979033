"""Compression without quantization (Flamich 2019): its models, coders, tables and figures."""
