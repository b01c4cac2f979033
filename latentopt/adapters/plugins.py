"""Adapters that other installed packages bring: the entry points of the group `latentopt.adapters`.

An entry point's name is a model class, its value the adapter class::

    [project.entry-points."latentopt.adapters"]
    "mypackage.models.MyCodec" = "mypackage.adapters:MyAdapter"
"""

from importlib.metadata import EntryPoint, entry_points
from itertools import takewhile

from torch import nn

from latentopt.adapters.base import Adapter
from latentopt.adapters.predicted import VideoAdapter
from latentopt.errors import UnsupportedModelError

GROUP = "latentopt.adapters"
_BUILT_IN = ("compressai", "torch", "latentopt")


def plugin_class(model: nn.Module) -> type[Adapter] | type[VideoAdapter] | None:
    """The adapter that a package brings for a model's class, or for the nearest it inherits from.

    Classes of CompressAI, and what they inherit from, have the adapters that they have.

    Raises:
        UnsupportedModelError: the adapter cannot be imported, is none, or there are several.
    """
    own = takewhile(lambda cls: cls.__module__.split(".")[0] not in _BUILT_IN, type(model).__mro__)
    for cls in own:
        name = f"{cls.__module__}.{cls.__qualname__}"
        found = {point.value: point for point in entry_points(group=GROUP, name=name)}
        if len(found) > 1:
            raise UnsupportedModelError(
                f"several installed packages bring an adapter for {name}: {', '.join(found)}; "
                "uninstall all but one, or pass wrap(model, adapter=...)"
            )
        for point in found.values():
            return _load(point)
    return None


def _load(point: EntryPoint) -> type[Adapter] | type[VideoAdapter]:
    where = f"the adapter {point.value} for {point.name}, of an installed package,"
    try:
        adapter = point.load()
    except (ImportError, AttributeError) as error:
        raise UnsupportedModelError(f"{where} cannot be imported: {error}") from error
    if not (isinstance(adapter, type) and issubclass(adapter, Adapter | VideoAdapter)):
        raise UnsupportedModelError(
            f"{where} is no subclass of latentopt.adapters' Adapter or VideoAdapter"
        )
    return adapter
