"""CompressAI's codec architectures, by the names of its model zoo."""

from compressai.models import CompressionModel
from compressai.zoo.image import model_architectures

from latentopt.adapters.variational_net import GammaPln, Pln, Vae
from latentopt.zoo.flow import SmallScaleSpaceFlow
from latentopt.zoo.names import URLS
from latentopt.zoo.variable import VARIABLE

VIDEO: dict[str, type[CompressionModel]] = {"ssf2020": SmallScaleSpaceFlow}
"""Those that code lists of frames. The class reads state dicts of the published widths, too."""

# CompressAI spells one of its keys with underscores; every other name has hyphens. Architectures
# that its next release adds are none of this zoo yet.
_IMAGE = {name.replace("_", "-"): cls for name, cls in model_architectures.items()}
SAMPLED: dict[str, type[Vae]] = {"vae": Vae, "pln": Pln, "gamma-pln": GammaPln}
_ALL = _IMAGE | VIDEO | VARIABLE | SAMPLED
CLASSES: dict[str, type[CompressionModel]] = {name: _ALL[name] for name in URLS}
