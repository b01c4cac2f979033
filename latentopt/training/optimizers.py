"""Optimizers, made for a model."""

import torch
from torch import nn

from latentopt.extras import need
from latentopt.training.entropy import parameter_groups


def soap(model: nn.Module) -> torch.optim.Optimizer:
    """SOAP (Vyas et al. 2024), without weight decay.

    Raises:
        MissingExtraError: pytorch-optimizer is not installed.
    """
    need("train", "pytorch_optimizer")
    from pytorch_optimizer import SOAP

    return SOAP(parameter_groups(model), weight_decay=0.0)
