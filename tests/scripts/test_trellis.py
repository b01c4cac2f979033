"""The trial of trellis-coded quantization: its trellis is the one that books have."""

from itertools import product

import numpy as np
import torch
import trellis
from trellis import OnLattices, OnRefitted, OnTrellis

from latentopt.densities import GaussianDensity
from latentopt.encoder.prices import Prices
from latentopt.latents.lattice import Tables
from latentopt.lattices import RULES

SIGMA = 8.0


def on_trellis(spacing: float, spread: float = SIGMA) -> OnTrellis:
    density = GaussianDensity(np.array([spread]))
    integers = OnLattices(Tables(density, RULES["int"], "exact", None), Prices(density))
    return OnTrellis(np.array([spread]), spacing, integers)


def test_eight_states_gain_nine_tenths_of_a_decibel() -> None:
    """At high rate, against integers: 0.97 dB (Marcellin and Fischer 1990) of 1.53."""
    torch.manual_seed(0)
    quantizer, u = on_trellis(1.0), SIGMA * torch.randn(16384)
    quantizer.arrange(np.zeros(len(u), np.int64))
    error = float((u - quantizer.cheapest(u, torch.full_like(u, 1e4))).square().mean())
    rate = quantizer.bits() / len(u) - np.log2(SIGMA * np.sqrt(2 * np.pi * np.e))
    assert 0.85 < -10 * np.log10(12 * error) - 6.02 * rate < 1.05


def test_expectations_end_as_the_cheapest_path() -> None:
    torch.manual_seed(1)
    quantizer, u = on_trellis(1.36), SIGMA * torch.randn(256)
    quantizer.arrange(np.zeros(len(u), np.int64))
    weight = torch.full_like(u, 6.0)
    cold = quantizer.mean(u, weight, 1e-3)
    assert float((cold - quantizer.cheapest(u, weight)).abs().median()) < 1e-3
    assert float((quantizer.mean(u, weight, 1e3) - u).abs().mean()) < 1.5


def test_the_cheapest_path_is_the_cheapest_of_all() -> None:
    torch.manual_seed(2)
    quantizer, u = on_trellis(1.36, 1.0), torch.randn(5)
    quantizer.arrange(np.zeros(len(u), np.int64))
    weight = torch.full_like(u, 4.0)
    chosen = quantizer.cheapest(u, weight)
    found = float((weight * (u - chosen) ** 2).sum()) + quantizer.bits()
    following, which = trellis.ungerboeck()
    index, cost, _ = quantizer._near(u, weight)  # (4, 3, n)
    least = cost.min(dim=1).values
    costs = []
    for parities in product((0, 1), repeat=len(u)):
        state, total = 0, 0.0
        for i, parity in enumerate(parities):
            total += float(least[2 * which[state] + parity, i])
            state = following[state, parity]
        costs.append(total)
    assert abs(found - min(costs)) < 1e-3
    assert index.shape == (4, 3, len(u))


def test_refitted_vectors_begin_with_the_tables_of_the_product() -> None:
    torch.manual_seed(3)
    density = GaussianDensity(np.array([0.7, 2.0]), tails=())
    tables, prices = Tables(density, RULES["auto"], "exact", None), Prices(density)
    levels = np.arange(8000) % 2
    u = torch.tensor([0.7, 2.0])[levels] * torch.randn(8000)
    quantizers = OnLattices(tables, prices), OnRefitted(tables, prices, density)
    before, own = (spent(quantizer, u, levels) for quantizer in quantizers)
    assert abs(own / before - 1) < 0.01
    counts = quantizers[1].counted()
    assert counts.sum() == 8000
    quantizers[1].refit(counts)
    assert spent(quantizers[1], u, levels) < own


def spent(quantizer: OnLattices, u: torch.Tensor, levels: np.ndarray) -> float:
    quantizer.arrange(levels)
    quantizer.cheapest(u, torch.full_like(u, 8.0))
    return quantizer.bits()
