"""Bitstreams: packing of latents into vectors, the entropy coder, step sizes, the file format."""

from latentopt.coding.choice import Vectors
from latentopt.coding.container import (
    Container,
    Identity,
    Settings,
)
from latentopt.coding.latent import (
    CORRECTION_BITS,
    MAX_COORDINATE,
    MAX_CORRECTION,
    SPLITS,
    Coding,
    Latent,
    LatentCoder,
    Prior,
    Quantizer,
    Reader,
)
from latentopt.coding.packing import Part, pack
from latentopt.coding.shipped import ship_tables
from latentopt.coding.steps import DIRECTIONS, NO_SHIFT, decode_step, encode_step
from latentopt.coding.stream import KEY, PREDICTED, Header, end_record, frame_record, frame_records

__all__ = [
    "CORRECTION_BITS",
    "DIRECTIONS",
    "KEY",
    "MAX_COORDINATE",
    "MAX_CORRECTION",
    "NO_SHIFT",
    "PREDICTED",
    "SPLITS",
    "Coding",
    "Container",
    "Header",
    "Identity",
    "Latent",
    "LatentCoder",
    "Part",
    "Prior",
    "Quantizer",
    "Reader",
    "Settings",
    "Vectors",
    "decode_step",
    "encode_step",
    "end_record",
    "frame_record",
    "frame_records",
    "pack",
    "ship_tables",
]
