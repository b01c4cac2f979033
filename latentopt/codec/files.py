"""Image files: a container around the strings, written whole or not at all."""

from collections.abc import Sequence

from latentopt.bitstream import Container, Identity


def pack(
    identity: Identity,
    size: Sequence[int],
    strings: Sequence[Sequence[bytes]],
    is_grey: bool = False,
) -> bytes:
    """A file's content from what ``compress`` returned for one image (H, W).

    Raises:
        InputError: the format cannot hold such an image.
    """
    height, width = size
    parts = tuple(string for [string] in strings)
    hashes, origin = identity.hashes, identity.origin
    made = Container(identity.settings, width, height, *hashes, parts, origin, is_grey)
    return made.to_bytes()


def unpack(identity: Identity, data: bytes, string_count: int) -> Container:
    """The mirror of :func:`pack`.

    Raises:
        BitstreamError: the data is corrupt, or of another codec; the message says which.
    """
    container = Container.from_bytes(data, string_count)
    identity.check(container.identity)
    return container
