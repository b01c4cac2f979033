"""Image files: a container around the strings, written whole or not at all."""

from collections.abc import Sequence

from latentopt.bitstream import Container, Identity
from latentopt.errors import InputError


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


def unpack(
    identity: Identity, data: bytes, string_count: int, maps: int | None = None
) -> Container:
    """The mirror of :func:`pack`; of a progressive file, with ``maps``, the first so many.

    Raises:
        BitstreamError: the data is corrupt, or of another codec; the message says which.
        MapError: a map that is wanted is damaged.
    """
    container = Container.from_bytes(data, string_count)
    identity.check(container.identity)
    if maps is not None and (isinstance(maps, bool) or not isinstance(maps, int) or maps < 0):
        raise InputError(f"maps {maps!r}: how many to decode is a whole number, 0 or more")
    if container.damage and (maps is None or maps > container.damage.maps):
        raise container.damage
    return container if maps is None else container.cut(maps)
