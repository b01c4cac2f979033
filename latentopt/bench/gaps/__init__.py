"""What stands between a codec's latent and its quantizer: the gaps of Pan et al. (CVPR-W 2021).

A codec is trained with something in the quantizer's place. How well that stood for it shows in the
trained latent: how far from integers it is (the discrete gap), how far what is coded is from what
the entropy model expects (the entropy estimation gap), and how much the decoded image moves where
the latent moves by less than a step (local smoothness).
"""

from latentopt.bench.gaps.meter import Gaps, measure
from latentopt.bench.gaps.tally import BINS, REACH, Tally

__all__ = ["BINS", "REACH", "Gaps", "Tally", "measure"]
