"""The codec that reads a file, which says itself with what it was coded."""

import os

from latentopt.atomic import read_whole
from latentopt.bitstream import Container, read_header
from latentopt.bitstream.video_file import is_video_file
from latentopt.codec.image import Codec
from latentopt.codec.recipe import Recipe
from latentopt.codec.video import VideoCodec
from latentopt.codec.wrap import wrap_for, wrap_image
from latentopt.zoo.writer import writer_of


def reader_of(path: str | os.PathLike[str]) -> Codec | VideoCodec:
    """What `latentopt decode` takes for a file: its model, wrapped as the file was written.

    >>> from latentopt import zoo
    >>> codec = zoo.reader_of("photo.lo")  # doctest: +SKIP
    >>> x_hat = codec.load("photo.lo")  # doctest: +SKIP

    Args:
        path: of an image or a clip that latentopt wrote; of files in the layout of CompressAI's
            ``examples/codec.py`` the model's own decoder is all that is needed.

    Returns:
        A :class:`Codec`; a :class:`VideoCodec` of a clip. It writes plain files of that kind.

    Raises:
        InputError: the file cannot be read.
        BitstreamError: it is none of latentopt's, or damaged.
        WeightsError: no codec on this machine has its weights; see :func:`writer_of`.
    """
    if is_video_file(path):
        header = read_header(path)
        return wrap_for(writer_of(header.origin, header.weights_hash), header)
    container = Container.from_bytes(read_whole(path))
    model = writer_of(container.origin, container.weights_hash)
    return wrap_image(model, Recipe.reading(container.settings), reads=container.identity)
