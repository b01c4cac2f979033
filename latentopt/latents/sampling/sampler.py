"""What a coder of samples is, and what has crossed by one."""

from abc import ABC, abstractmethod
from typing import Protocol

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Floats
from latentopt.latents.sampling.cut import Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.posterior import Normals
from latentopt.latents.sampling.staircase import Levels


class Sampled(Protocol):
    """Elements of a group that crossed as samples."""

    @property
    def values(self) -> Floats:
        """(n,) the samples."""

    def bits(self) -> Floats:
        """(n,) cost of each."""

    def escaped(self) -> int:
        """How many symbols say that what they stand for follows."""

    def encode(self, encoder: SymbolEncoder) -> None:
        """Their symbols."""


class Sampler(ABC):
    """A coder of samples: one law, :meth:`receive` gives what :meth:`send` gave, bit for bit."""

    @abstractmethod
    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Sampled:
        """Samples of the posteriors ``target`` (n,)."""

    @abstractmethod
    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Sampled:
        """The mirror of :meth:`send` and :meth:`Sampled.encode`."""

    @abstractmethod
    def least_bits(self, levels: Levels) -> float:
        """What very many elements of these levels (n,) take at least, whatever they are."""
