"""A module that is made of a model, and stays in step with its weights and with its states."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from latentopt.adapters import Adapter
from latentopt.adapters.base import deriving
from latentopt.bitstream import DIRECTIONS, Identity, Origin, Settings
from latentopt.codec.assembly import OFFSETS, Assembly
from latentopt.codec.extra_state import EXTRA, Checked, Extra, check_weights, make_room
from latentopt.codec.recipe import Recipe
from latentopt.codec.seal import Seal
from latentopt.errors import InputError, WeightsError
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.lattice.context import Network
from latentopt.pmf.tables import Ints


class Assembled(Checked):
    """A model, and the assembly that follows from its weights, whatever is done to them.

    Args:
        adapter: of the model.
        recipe: what to do with it.
        origin: where the model comes from; None: that is not known.
    """

    def __init__(self, adapter: Adapter, recipe: Recipe, origin: Origin | None = None):
        super().__init__()
        self.model: nn.Module = adapter.model
        if recipe.portable:  # up to a third faster on a CPU, and the same but for the last bit
            self.model.to(memory_format=torch.channels_last)
        self._assembly = replace(Assembly.of(adapter, recipe), origin=origin)
        self._loaded: Sequence[Ints] | None = None
        self.register_load_state_dict_pre_hook(_before_load)
        self.register_load_state_dict_post_hook(_after_load)

    @property
    def assembly(self) -> Assembly:
        """What it is made of: made anew where the model's weights, or their type, have changed."""
        return self.current(Seal.holds)

    def current(self, holds: Callable[[Seal, nn.Module], bool]) -> Assembly:
        """The same, where a seal on the weights is looked at in this way or that."""
        if not holds(self._assembly.seal, self.model):
            with deriving():
                if not holds(self._assembly.seal, self.model):
                    self._assembly = self._assembly.renewed()
        return self._assembly

    @property
    def recipe(self) -> Recipe:
        """What was asked for."""
        return self._assembly.recipe

    @property
    def origin(self) -> Origin | None:
        """Where the model comes from, as files say it; None where that is not known."""
        return self.assembly.origin

    @property
    def settings(self) -> Settings:
        """What the decoder must have in common with the encoder, besides the weights."""
        return self._assembly.recipe.settings

    @property
    def identity(self) -> Identity:
        """What a stream must have been written with."""
        return self.assembly.identity

    @property
    def string_count(self) -> int:
        """Strings per image: one for each latent."""
        return len(self._assembly.channels)

    # -- what is derived from the weights --------------------------------------------------------

    @property
    def offsets(self) -> tuple[int, ...]:
        """Step codes of the reconstruction offsets: of the direction ``split``, for all images."""
        return self._assembly.offsets

    @offsets.setter
    def offsets(self, codes: Sequence[int]) -> None:
        if len(codes) != DIRECTIONS[OFFSETS] or not all(0 <= code < 256 for code in codes):
            raise InputError(f"offsets are {DIRECTIONS[OFFSETS]} step codes, bytes, not {codes}")
        self._assembly = replace(self.assembly, offsets=tuple(int(code) for code in codes))

    @property
    def context_channel(self) -> LatticeChannel:
        """Of the main latent; InputError where the codec's recipe has no context."""
        main = self.assembly.channels[0]
        if not isinstance(main, LatticeChannel) or main.context is None:
            raise InputError("this codec has no context: wrap(model, ..., context=True)")
        return main

    def use_network(self, network: Network) -> None:
        """Take another network for the context of the main latent: streams are others with it.

        Raises:
            InputError: the codec's recipe has no context.
        """
        main = self.context_channel.with_network(network)
        self._rebuild([channel.dump() for channel in (main, *self.assembly.channels[1:])])

    def update(self, *args: object, force: bool = False, **kwargs: object) -> bool:
        """Rebuild the tables from the weights, as CompressAI's ``update`` does; True if it did."""
        if force:
            self._rebuild(None)
        return force

    def _rebuild(self, dumped: Sequence[Ints] | None) -> None:
        """What is derived from the weights; tables as ``dumped``, where given."""
        before = self._assembly
        before.adapter.refresh()
        try:
            made = Assembly.of(before.adapter, before.recipe, dumped)
        except (LookupError, StopIteration, TypeError, ValueError) as error:
            if dumped is None:
                raise
            raise WeightsError(f"the state's tables are not such of this codec: {error}") from error
        self._assembly = before.but_for(made)

    # -- states ----------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Tensor]:
        """The tables, so that ``state_dict`` carries them bit for bit."""
        return Extra.of(self.current(Seal.holds_to_the_bit)).to_state()

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Keeps the tables of a ``state_dict`` until all its weights are loaded, too."""
        extra = Extra.from_state(state, self.settings, self.string_count)
        self._loaded = extra.tables
        if extra.offsets is not None:
            self._assembly = replace(self._assembly, offsets=extra.offsets)

    def check_state(
        self, state: Mapping[str, object], prefix: str = "", strict: bool = True
    ) -> None:
        """Raises WeightsError unless a ``state_dict`` is one of a codec with these settings.

        Args:
            prefix: what the names of this codec's entries begin with.
            strict: also where the state lacks weights, or tables, which then follow from the
                weights.
        """
        check_weights(self.model, state, f"{prefix}model.", strict)
        extra = state.get(prefix + EXTRA)
        if extra is not None:
            Extra.from_state(extra, self.settings, self.string_count)
        elif strict:
            raise WeightsError(
                f"the state has no entry {prefix + EXTRA!r}, so it is not of a wrapped codec: load "
                "a model's own state into codec.model"
            )

    def __getstate__(self) -> dict[str, object]:
        self.current(Seal.holds_to_the_bit)  # a copy believes that its tables are its weights'
        return vars(self).copy()


def _before_load(codec: Assembled, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Called by PyTorch: refuse what is not of such a codec, make room for the rest."""
    codec._loaded = None
    codec.check_state(state, prefix, strict=False)  # PyTorch does not say whether it is strict
    make_room(codec.model, state, f"{prefix}model.")


def _after_load(codec: Assembled, _incompatible: object) -> None:
    """Called by PyTorch: bring what is derived from the weights up to date, tables as they came."""
    loaded, codec._loaded = codec._loaded, None
    codec._rebuild(loaded)
