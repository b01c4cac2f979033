"""CompressAI imported without what image and video codecs never call: half of its import.

`import compressai` imports torch_geometric for point clouds, torchvision for data sets, and scipy's
statistics for one quantile, which building the tables of a Gaussian asks for. Imported after
latentopt, it takes the quantile from where scipy's statistics have it, and has the rest when they
are first used.
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType

_PACKAGE = "compressai"
_LATER = ("compressai.datasets", "compressai.transforms")
_STATISTICS = "scipy.stats"
_GAUSSIAN = "compressai.entropy_models.entropy_models"
_TRANSFORMS = ("torchvision.transforms", "torch_geometric.transforms")  # listed in its registry


class _Finder(MetaPathFinder):
    """Finds compressai where it is, and has it loaded as below."""

    def __init__(self) -> None:
        self.importing = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        later = fullname in _LATER or (self.importing and fullname == _STATISTICS)
        if not later and fullname not in (_PACKAGE, _GAUSSIAN):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        if fullname == _PACKAGE:
            spec.loader = _Without(spec.loader, self)
        elif fullname == _GAUSSIAN:
            spec.loader = _Quantile(spec.loader)
        elif fullname in _LATER:
            spec.loader = _Later(_Complete(spec.loader))
        else:
            spec.loader = _Later(spec.loader)
        return spec


class _Wrapped(Loader):
    def __init__(self, loader: Loader):
        self._loader = loader

    def __getattr__(self, name: str) -> object:  # what tracebacks and resources ask for
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)


class _Without(_Wrapped):
    """Imports compressai while the packages of transforms seem to be empty."""

    def __init__(self, loader: Loader, finder: _Finder):
        super().__init__(loader)
        self._finder = finder

    def exec_module(self, module: ModuleType) -> None:
        self._finder.importing = True
        try:
            with _empty(_TRANSFORMS):
                self._loader.exec_module(module)
        finally:
            self._finder.importing = False


class _Quantile(_Wrapped):
    """Spares the Gaussian the import of scipy.stats, whose ``norm.ppf`` is this very function."""

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        ndtri = importlib.import_module("scipy.special").ndtri
        module.GaussianConditional._standardized_quantile = staticmethod(ndtri)


class _Later(_Wrapped):
    """Executes a module when something is first asked of it.

    Not importlib's LazyLoader: that one executes even when `inspect` asks every module for its
    file, as torch has it do in the middle of other imports.
    """

    def exec_module(self, module: ModuleType) -> None:
        lock, waiting = RLock(), [self._loader.exec_module]

        def of_module(name: str) -> object:  # PEP 562
            if name.startswith("__") and name != "__all__":
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            with lock:
                while waiting:
                    waiting.pop()(module)
            if name not in vars(module):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return vars(module)[name]

        vars(module)["__getattr__"] = of_module


class _Complete(_Wrapped):
    """Imports what was put off, and lists in compressai's registry what belongs there."""

    def exec_module(self, module: ModuleType) -> None:
        registry = importlib.import_module("compressai.registry")
        for package in _TRANSFORMS:
            for name, value in vars(importlib.import_module(package)).items():
                if name[0].isupper():
                    registry.TRANSFORMS.setdefault(name, value)
        self._loader.exec_module(module)


@contextmanager
def _empty(names: Sequence[str]) -> Iterator[None]:
    """Submodules, and the packages that they are in, are empty, unless they were imported."""
    stubs = dict[str, ModuleType]()
    for name in names:
        package, _, submodule = name.partition(".")
        if package not in sys.modules:
            stubs[package], stubs[name] = ModuleType(package), ModuleType(name)
            setattr(stubs[package], submodule, stubs[name])
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name, module in stubs.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def install() -> None:
    """Have compressai imported so from now on; it changes nothing where it was imported before."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
