"""What a header says of the codec that wrote a stream: its settings, and what it must match."""

from dataclasses import asdict, dataclass

from latentopt.bitstream.origin import Origin
from latentopt.bitstream.steps import DIRECTIONS
from latentopt.errors import BitstreamError

QUANTS = ("int", "hex", "oct", "d4", "e8", "auto")
"""Lattices, in the order of their number in the bitstream; those that `latentopt.lattices` has."""
_DIRECTIONS = list(DIRECTIONS)
PMFS = ["exact", "paper"]
LATTICE = "lattice"
SAMPLE = "sample"
SAMPLERS = (
    *("layered", "uniform", "astar", "ordered", "importance"),
    *("rejection", "budget", "poisson", "greedy", "adaptive", "is-gs", "mixed"),
    "mixed-uniform",
)
"""Coders of samples, in the order of their number in the bitstream."""
VERSIONS = (1, 2)
"""Of the formats: what version 1 can say is written so, and read by all readers."""


@dataclass(frozen=True)
class Settings:
    """What the decoder's codec must have in common with the encoder's, besides the weights."""

    quant: str
    pmf: str
    direction: str
    portable: bool
    scales: bool = False
    """Whether each main latent comes with corrections of its scales, one per channel."""
    channel: str = LATTICE
    """How latents cross; version 1 of the formats knows lattices only."""
    adaptive: bool = False
    """Whether priors of side latents learn from what was decoded; not in version 1."""
    context: bool = False
    """Whether main latents may be adapted to what has crossed of them; not in version 1, either."""
    seed: int | None = None
    """Of what both sides draw, where the channel has such: a dither, or samples."""
    spread: int | None = None
    """Of the samples, in thousandths, where the channel has some."""
    sampler: str | None = None
    """How these are coded."""
    alpha: float = 0.0
    """Of the soft rounding before a dither."""
    sigma: float = 0.0
    """Of Gaussian noise in place of a uniform one."""
    mean: bool = False
    """Whether what arrives is taken for the mean of what may have been sent."""
    progressive: bool = False
    """Whether the main latent comes in maps, of which the first ones make an image."""
    postfilter: bool = False
    """Whether main latents come with a filter of the decoded image."""
    prepacked: bool = False
    """Whether vectors are formed before anything is decoded, by codecs with a context model."""

    @property
    def version(self) -> int:
        """The oldest version of the formats that can say this."""
        flags = self.adaptive, self.context, self.mean, self.progressive, self.postfilter
        newer = *flags, self.prepacked, self.alpha, self.sigma
        is_new = self.channel != LATTICE or any(newer)
        return 2 if is_new else 1

    def to_byte(self) -> int:
        fields = QUANTS.index(self.quant) | PMFS.index(self.pmf) << 3
        flags = self.portable << 6 | self.scales << 7
        return fields | _DIRECTIONS.index(self.direction) << 4 | flags

    @staticmethod
    def from_byte(value: int) -> "Settings":
        try:
            quant, pmf = QUANTS[value & 7], PMFS[value >> 3 & 1]
            direction = _DIRECTIONS[value >> 4 & 3]
            return Settings(quant, pmf, direction, bool(value >> 6 & 1), bool(value >> 7))
        except IndexError:
            raise BitstreamError(
                f"settings byte {value:#04x} is unknown: written by a newer latentopt?"
            ) from None


@dataclass(frozen=True)
class Identity:
    """What a stream says of the codec that wrote it; all but the origin decides who can read it."""

    settings: Settings
    weights_hash: bytes  # (4,)
    table_hash: bytes  # (4,)
    origin: Origin | None = None
    """Where the model comes from, if that is known."""

    @property
    def hashes(self) -> tuple[bytes, bytes]:
        return self.weights_hash, self.table_hash

    def check(self, theirs: "Identity") -> None:
        """Raises BitstreamError, which says what differs, unless a stream is of this codec."""
        ours = asdict(self.settings)
        settings = asdict(theirs.settings).items()
        differing = [
            f"{k}={_said(k, v)}, not {_said(k, ours[k])}" for k, v in settings if v != ours[k]
        ]
        if differing:
            raise BitstreamError(
                f"written by a codec with {' and '.join(differing)}: wrap it so, or take what "
                "latentopt.zoo.reader_of(FILE) gives"
            )
        if theirs.weights_hash != self.weights_hash:
            raise BitstreamError(
                "written by another model: its weights hash is "
                f"{theirs.weights_hash.hex()}, this model's {self.weights_hash.hex()}"
            )
        if theirs.table_hash != self.table_hash:
            raise BitstreamError(
                "written with other probability tables (table hash "
                f"{theirs.table_hash.hex()}, here {self.table_hash.hex()}): load the "
                "encoder's state_dict, which carries its tables"
            )


def _said(name: str, value: object) -> str:
    """A setting in the words of who wraps a model."""
    if value is None:
        return "none"
    return f"{value / 1000:g}" if name == "spread" and isinstance(value, int) else repr(value)


def check_version(version: int) -> None:
    """Raises BitstreamError unless this latentopt reads such files."""
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise BitstreamError(f"format version {version}, but this latentopt reads {known}")
