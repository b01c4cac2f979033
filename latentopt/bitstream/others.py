"""What a file is that is none of ours, by how it begins: for messages."""

_KINDS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"YUV4MPEG2": "a Y4M clip",
    b"\x1aE\xdf\xa3": "a Matroska or WebM clip",
    b"\xacLO": "a coded image of latentopt",
    b"\xacLV": "a coded clip of latentopt",
}
_LATER = {b"WEBP": (8, "a WebP image"), b"ftyp": (4, "an MP4 or MOV clip, or a HEIC image")}


def begins_as(data: bytes) -> str:
    """What is wrong with the start of a file that should be one of ours.

    >>> begins_as(b"BM...."), begins_as(b"RIFF....WEBPVP8 "), begins_as(b"")
    ('it is a BMP image', 'it is a WebP image', 'it is empty')
    """
    if not data:
        return "it is empty"
    for start, kind in _KINDS.items():
        if data.startswith(start):
            return f"it is {kind}"
    for word, (place, kind) in _LATER.items():
        if data[place:].startswith(word):
            return f"it is {kind}"
    return "the first bytes are not its magic number"
