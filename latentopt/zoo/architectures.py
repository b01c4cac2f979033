"""CompressAI's codec architectures, by the names of its model zoo."""

from compressai.models import CompressionModel
from compressai.zoo.image import model_architectures

from latentopt.zoo.flow import SmallScaleSpaceFlow
from latentopt.zoo.variable import VARIABLE

VIDEO: dict[str, type[CompressionModel]] = {"ssf2020": SmallScaleSpaceFlow}
"""Those that code lists of frames. The class reads state dicts of the published widths, too."""

# CompressAI spells one of its keys with underscores; every other name has hyphens.
CLASSES: dict[str, type[CompressionModel]] = (
    {name.replace("_", "-"): cls for name, cls in model_architectures.items()} | VIDEO | VARIABLE
)
