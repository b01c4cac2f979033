"""Files of clips: a header, a record of strings for each frame, and their count at the end."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from torch import Tensor

from latentopt.bitstream import (
    KEY,
    PREDICTED,
    Header,
    Identity,
    Origin,
    Settings,
    end_record,
    frame_record,
    frame_records,
)
from latentopt.codec.frames import KEY_PART, Strings, pictures
from latentopt.encoder.ahead import Frame
from latentopt.errors import BitstreamError, InputError

Watch = Callable[[Tensor, Tensor], object]
"""What is shown a frame and what will be decoded of it, each (1, 3, H, W) in [0, 1]."""


@dataclass(frozen=True)
class ClipFiles:
    """Writes and reads the files of one codec."""

    settings: Sequence[Settings]
    """Of each part, the key frame's first."""
    hashes: tuple[bytes, bytes]
    """Of the weights and of the tables of all parts."""
    origin: Origin | None
    strings: Mapping[str, int]
    """Of each part, how many strings it writes for a frame."""

    def write(
        self,
        file: BinaryIO,
        coded: Iterable[tuple[Tensor, Frame, Tensor]],
        rate: Fraction,
        done: Callable[[int], object],
        watch: Watch | None,
    ) -> tuple[int, int]:
        """Write a clip as its frames come; the file's size in bytes, and their number.

        Args:
            file: what is written to.
            coded: what :meth:`Frames.encode` yields.
            rate, done, watch: as :meth:`VideoCodec.save` has them.

        Raises:
            InputError: there is no frame.
        """
        count = size = 0
        for x, frame, image in coded:
            if not count:
                size += file.write(self._header(x, rate).to_bytes())
            flat = tuple(string for part in strings_of(frame).values() for string in part)
            kind = KEY if KEY_PART in frame else PREDICTED
            written = file.write(frame_record(count, kind, flat))
            count, size = count + 1, size + written
            done(written)
            if watch:
                watch(x, pictures([image], x.shape[-2:]))
        if not count:
            raise InputError("there is no frame to code")
        return size + file.write(end_record(count)), count

    def _header(self, x: Tensor, rate: Fraction) -> Header:
        height, width = x.shape[-2:]
        return Header(tuple(self.settings), width, height, rate, *self.hashes, self.origin)

    def read(self, file: BinaryIO) -> tuple[tuple[int, int], Iterator[Strings]]:
        """The frames' size (H, W), and the strings of each, undecoded.

        Raises:
            TruncatedError: after the last whole frame of a file that ends early.
            BitstreamError: the file is corrupt, or of another codec; the message says which.
        """
        header = Header.read(file)
        self.check(header)
        records = (self._split(*record) for record in frame_records(file, self.counts))
        return (header.height, header.width), records

    def check(self, header: Header) -> None:
        """Raises BitstreamError unless a file with this header is of this codec."""
        if len(header.settings) != len(self.settings):
            raise BitstreamError(f"written by a codec of {len(header.settings)} parts")
        for settings, theirs in zip(self.settings, header.identities):
            Identity(settings, *self.hashes).check(theirs)

    @property
    def counts(self) -> tuple[int, int]:
        """How many strings a key frame and a predicted one have."""
        key = self.strings[KEY_PART]
        return key, sum(self.strings.values()) - key

    def _names(self, kind: int) -> list[str]:
        """The parts of a frame of this kind, in the order of coding."""
        return [name for name in self.strings if (name == KEY_PART) == (kind == KEY)]

    def _split(self, kind: int, strings: Sequence[bytes]) -> dict[str, Sequence[bytes]]:
        """A record's strings by part."""
        rest = iter(strings)
        return {name: [next(rest) for _ in range(self.strings[name])] for name in self._names(kind)}


def strings_of(frame: Frame) -> dict[str, list[bytes]]:
    """Of each part of a coded frame, the strings of its latents."""
    return {name: [latent.string for latent in latents] for name, latents in frame.items()}
