"""Training a decoder on what an encoder really sends it, with the encoder as it is.

       crops ─► the preset's search ─► lattice points ─► shift ─► trained parts ─► loss
                       ▲                                               │
                       └────────────── once a round, anew ◄────────────┘

The two take turns: points are chosen for the decoder as it is, then the decoder is trained for the
points. The analysis stays, and with it what a search begins from.
"""

from latentopt.training.tuning.duration import Budget
from latentopt.training.tuning.finetune import Outcome, finetune
from latentopt.training.tuning.parts import PARTS

__all__ = ["PARTS", "Budget", "Outcome", "finetune"]
