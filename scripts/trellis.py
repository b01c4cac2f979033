"""What trellis-coded quantization would gain over integers and E8 with a context and annealing.

A trial, not a channel. Entropy parameters are those that a context gave the elements of an image
(preset `slow` on integers) and stay as they are; from there the main latent is annealed on
integers, on the lattices of `auto`, and on a trellis, of each of which the expectations are exact:
of chains by the forward-backward algorithm. Bits are those of the tables, ideally coded; the error
is that of the image. Rate against quality is from four prices of the error.

The trellis has Ungerboeck's eight states (0.96 dB of granular gain, E8 0.65), over the two
quantizers of dependent quantization (Schwarz et al., DCC 2019; in VVC): even multiples of a half
step, and odd ones with zero, whose parity moves the state. Its tables are of Gaussians, or
refitted to what annealing leaves on photographs of CLIC. `--turns 4` hardens a quarter of the
channels at a time, and anneals the others on.

    python scripts/trellis.py --codec tiny-mbt2018-mean --quality 2 --limit 6 --rows FILE.csv
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from common import add_codec, head, line, load, run
from laboratory import DATA
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

import latentopt
from latentopt import Codec
from latentopt.bench import datasets
from latentopt.bench.bdrate import bd_rate
from latentopt.codec.encode import Encoder
from latentopt.codec.recipe import get_preset
from latentopt.densities import Density, Floats
from latentopt.encoder import Draft, Schedule
from latentopt.encoder.choice import Vectors
from latentopt.encoder.prices import CoordinateBits, Prices, RowBits
from latentopt.encoder.refine import Objective
from latentopt.encoder.sensitivity import sensitivity_of
from latentopt.latents import Prior
from latentopt.latents.lattice import Latent, Part, Tables, pack
from latentopt.lattices import RULES, Lattice
from latentopt.media.images import read_image

SCHEDULE = Schedule(30, (2.0, 0.2), (0.25, 0.1), momentum=0.7)
"""That of the preset `slow`."""
HARDENING = 10.0  # how much more an error weighs when points are chosen at last, as in all presets
PRICES = (0.25, 0.5, 1.0, 2.0)
REFIT_PRICES = (0.35, 1.4)
REACH = 64  # of indices
LEVELS_LEAST = 0.3  # spread from which elements are on the trellis; narrower ones are integers
CHAIN = 64
KEPT = 40  # elements that tables count for, when they are refitted
ESCAPE = 20.0  # bits

States = NDArray[np.int64]


def ungerboeck() -> tuple[States, States]:
    """Eight states: the next one by parity, (8, 2), and the quantizer of each (8,).

    Parity checks 13 and 4, octal (Ungerboeck, IEEE Trans. Inf. Theory 1982, table I).
    """
    following = np.zeros((8, 2), np.int64)
    for state in range(8):
        a, b, c = state >> 2 & 1, state >> 1 & 1, state & 1
        for parity in (0, 1):
            following[state, parity] = (b ^ a) << 2 | (c ^ parity) << 1 | a
    return following, np.arange(8) >> 2


class Quantizer(Protocol):
    """What annealing asks of a quantizer; residuals are (n,)."""

    def arrange(self, levels: NDArray[np.integer]) -> None:
        """Take the elements of an image."""

    def mean(self, u: Tensor, weight: Tensor, temperature: float) -> Tensor:
        """Expected residual for targets ``u``, where a squared unit of error costs ``weight``."""

    def cheapest(self, u: Tensor, weight: Tensor) -> Tensor:
        """The residual of least cost."""

    def bits(self) -> float:
        """Of what :meth:`cheapest` gave last."""


class OnLattices:
    """Vectors of the lattices of a rule, packed by level."""

    def __init__(self, tables: Tables, prices: Prices):
        self._tables, self._prices = tables, prices
        self._chosen: list[tuple[Part, NDArray[np.int32]]] = []

    def arrange(self, levels: NDArray[np.integer]) -> None:
        """See :class:`Quantizer`."""
        self._parts = pack(levels, self._tables.lattices)

    def mean(self, u: Tensor, weight: Tensor, temperature: float) -> Tensor:
        """See :class:`Quantizer`."""
        out = torch.zeros_like(u)
        for part in self._parts:
            index = torch.from_numpy(part.index)
            vectors = Vectors.of(part, self._prices, weight[index])
            out[index] = vectors.mean(u[index], temperature)
        return out

    def cheapest(self, u: Tensor, weight: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        out, self._chosen = torch.zeros_like(u), []
        for part in self._parts:
            index = torch.from_numpy(part.index)
            m = Vectors.of(part, self._prices, weight[index]).cheapest(u[index])
            out[index] = m * torch.tensor(part.lattice.units)
            self._chosen.append((part, m.numpy().astype(np.int32)))
        return out

    def bits(self) -> float:
        """See :class:`Quantizer`."""
        return sum(self._bits_of(part, m) for part, m in self._chosen)

    def _bits_of(self, part: Part, m: NDArray[np.int32]) -> float:
        total = 0.0
        for level, start, stop in part.runs:
            bits, escaped = self._tables[part.lattice.name, level].bits(m[start:stop])
            total += float(bits.sum()) + ESCAPE * float(escaped.sum())
        return total


class OnRefitted(OnLattices):
    """The same, with the product form's axes refitted to what was chosen."""

    def __init__(self, tables: Tables, prices: Prices, density: Density):
        super().__init__(tables, prices)
        self._wide = tables.lattices[-1]
        unit, m = self._wide.units[0], np.arange(-REACH, REACH + 1)
        moment = self._wide.second_moment
        mass = [density.smoothed(k, m * unit, moment) for k in range(density.levels)]
        self._set(density, np.maximum(mass, 1e-9))

    def _set(self, density: Density, mass: Floats) -> None:
        self._density, self._mass = density, mass / mass.sum(axis=1, keepdims=True)
        self._rows = -np.log2(self._mass)
        residue = np.arange(-REACH, REACH + 1) % self._wide.modulus
        of_residue = self._mass @ np.eye(self._wide.modulus)[residue]  # (levels, residues)
        each = of_residue[:, np.array(self._wide.cosets)]  # (levels, cosets, 8)
        self._total = np.log2(each.prod(axis=2).sum(axis=1))  # of all points of the lattice
        self._prices = _OfRows(density, self._rows, self._wide)

    def refit(self, counts: Floats) -> None:
        """See :meth:`OnTrellis.refit`; (levels, indices)."""
        mass = (counts + KEPT * self._mass) / (counts.sum(axis=1, keepdims=True) + KEPT)
        self._set(self._density, mass)

    def counted(self) -> Floats:
        """How often each coordinate was chosen last, by level."""
        counts = np.zeros(self._mass.shape)
        for part, m in self._chosen:
            if part.lattice is self._wide:
                np.add.at(counts, (part.levels[:, None], m.clip(-REACH, REACH) + REACH), 1)
        return counts

    def bits(self) -> float:
        """See :class:`Quantizer`."""
        total = 0.0
        for part, m in self._chosen:
            levels = part.levels
            if part.lattice is self._wide:
                own = self._rows[levels[:, None], m.clip(-REACH, REACH) + REACH].sum(axis=1)
                total += float((own + self._total[levels]).sum())
            else:
                total += self._bits_of(part, m)
        return total


class _OfRows(Prices):
    """Rows for one lattice, the density's own for others."""

    def __init__(self, density: Density, rows: Floats, lattice: Lattice):
        super().__init__(density)
        self._rows, self._lattice = rows, lattice

    def _of(self, lattice: Lattice, device: torch.device) -> CoordinateBits:
        if lattice is self._lattice:
            return RowBits(list(self._rows), lattice, device)
        return super()._of(lattice, device)


class OnTrellis:
    """Chains of elements on a trellis; those of narrow levels on integers.

    Args:
        spacing: between the points of one quantizer, in latent units.
    """

    def __init__(self, spreads: Floats, spacing: float, narrow: OnLattices):
        self._wide, self._narrow = spreads >= LEVELS_LEAST, narrow
        k = np.arange(-REACH, REACH + 1)
        values = np.stack([2 * k, 2 * k - np.sign(k)]) * spacing / 2  # (2, indices)
        self._step, self._values = spacing, torch.from_numpy(values).float()
        edges = (values[:, 1:] + values[:, :-1]) / 2
        bounds = np.pad(edges, ((0, 0), (1, 1)), constant_values=(-np.inf, np.inf))
        mass = np.diff(ndtr(bounds / spreads[:, None, None]), axis=2)
        self._set(np.maximum(mass, 1e-9))
        following, quantizer = ungerboeck()
        self._next = torch.from_numpy(following)
        self._class = torch.from_numpy(2 * quantizer[:, None] + np.arange(2))  # (8, 2)
        into = [np.argwhere(following == state) for state in range(8)]
        self._from, self._by = torch.from_numpy(np.array(into)).unbind(dim=2)  # (8, 2) each

    def _set(self, mass: Floats) -> None:
        self._mass: Floats = mass / mass.sum(axis=2, keepdims=True)
        self._bits = torch.from_numpy(-np.log2(self._mass)).float()

    def refit(self, counts: Floats) -> None:
        """Tables of what was counted, (levels, 2, indices)."""
        self._set((counts + KEPT * self._mass) / (counts.sum(axis=2, keepdims=True) + KEPT))

    def arrange(self, levels: NDArray[np.integer]) -> None:
        """See :class:`Quantizer`."""
        inside = np.flatnonzero(self._wide[levels])
        count = max(1, len(inside) // CHAIN)
        chains = np.full(-(-len(inside) // count) * count, -1)
        chains[: len(inside)] = inside
        self._valid = torch.from_numpy(chains >= 0)
        self._shape = count, len(chains) // count
        self._inside = torch.from_numpy(inside)
        self._levels = torch.from_numpy(levels[inside].astype(np.int64))
        rest = np.setdiff1d(np.arange(len(levels)), inside)
        self._rest = torch.from_numpy(rest)
        self._narrow.arrange(levels[rest])

    def mean(self, u: Tensor, weight: Tensor, temperature: float) -> Tensor:
        """See :class:`Quantizer`."""
        out = torch.zeros_like(u)
        out[self._rest] = self._narrow.mean(u[self._rest], weight[self._rest], temperature)
        _, cost, values = self._near(u, weight)
        logs = cost * (-0.6931472 / temperature)  # (4, 3, n)
        expected = (torch.softmax(logs, dim=1) * values).sum(dim=1)
        share = self._marginals(self._chained(torch.logsumexp(logs, dim=1)))
        out[self._inside] = (share * expected).sum(dim=0)
        return out

    def cheapest(self, u: Tensor, weight: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        out = torch.zeros_like(u)
        out[self._rest] = self._narrow.cheapest(u[self._rest], weight[self._rest])
        index, cost, values = self._near(u, weight)
        least, which = cost.min(dim=1)
        own = self._viterbi(self._chained(least))
        at = own, which.gather(0, own[None])[0], torch.arange(len(own))
        self._quantizer, self._index = own // 2, index[at].long() + REACH
        out[self._inside] = values[at]
        return out

    def bits(self) -> float:
        """See :class:`Quantizer`."""
        own = self._bits[self._levels, self._quantizer, self._index]
        return float(own.sum()) + self._narrow.bits()

    def counted(self) -> Floats:
        """How often each index was chosen last, by level and quantizer."""
        counts = np.zeros(self._mass.shape)
        np.add.at(counts, (self._levels, self._quantizer, self._index), 1)
        return counts

    def _near(self, u: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Indices, costs and values of three points of each (quantizer, parity): (4, 3, n)."""
        x, w = u[self._inside], weight[self._inside]
        found = []
        for quantizer in (0, 1):
            place = (x + quantizer * torch.sign(x) * self._step / 2) / self._step
            for parity in (0, 1):
                middle = 2 * torch.round((place - parity) / 2) + parity
                index = torch.stack([middle - 2, middle, middle + 2]).clamp(2 - REACH, REACH - 2)
                values = self._values[quantizer][index.long() + REACH]
                bits = self._bits[self._levels, quantizer, index.long() + REACH]
                found.append((index, w * (x - values) ** 2 + bits, values))
        index, cost, values = (torch.stack(each) for each in zip(*found))
        return index, cost, values

    def _chained(self, of_class: Tensor) -> Tensor:
        """(length, chains, 4) of (4, n); nothing where chains have no elements."""
        full = torch.zeros(4, len(self._valid))
        full[:, self._valid] = of_class
        return full.reshape(4, *self._shape).permute(2, 1, 0)

    def _marginals(self, logs: Tensor) -> Tensor:
        """(4, n) probability of each class, by the forward-backward algorithm."""
        chains = logs.shape[1]
        start = torch.full((chains, 8), -1e9)
        start[:, 0] = 0
        ahead, behind = [start], [torch.zeros(chains, 8)]
        for own in logs:
            ahead.append(
                _log_sum(ahead[-1][:, self._from] + own[:, self._class[self._from, self._by]])
            )
        for own in logs.flip(0):
            behind.append(_log_sum(behind[-1][:, self._next] + own[:, self._class]))
        after = torch.stack(behind[:-1]).flip(0)
        joint = (
            torch.stack(ahead[:-1])[..., None] + logs[:, :, self._class] + after[:, :, self._next]
        )
        share = torch.softmax(joint.flatten(2), dim=2)  # (length, chains, 16)
        of_class = torch.nn.functional.one_hot(self._class.flatten(), 4).float()
        return (share @ of_class).permute(2, 1, 0).reshape(4, -1)[:, self._valid]

    def _viterbi(self, cost: Tensor) -> Tensor:
        """(n,) the class of each element on the cheapest paths."""
        chains = cost.shape[1]
        total = torch.full((chains, 8), 1e9)
        total[:, 0] = 0
        back = []
        for own in cost:
            total, best = (total[:, self._from] + own[:, self._class[self._from, self._by]]).min(2)
            back.append(best)
        state, classes = total.argmin(dim=1), []
        for best in reversed(back):
            came = best.gather(1, state[:, None])[:, 0]
            before = self._from[state, came]
            classes.append(self._class[before, self._by[state, came]])
            state = before
        return torch.stack(classes[::-1], dim=1).flatten()[self._valid]


def _log_sum(logs: Tensor) -> Tensor:
    """Over the last dimension, up to a constant for each chain."""
    total = torch.logsumexp(logs, dim=2)
    return total - total.amax(dim=1, keepdim=True)


@dataclass(frozen=True)
class Case:
    """An image, its latent, and the entropy parameters that a context gave it."""

    x: Tensor
    y: Tensor  # (n,)
    prior: Prior
    objective: Callable[[float], Objective]

    def tried(self, quantizer: Quantizer, price: float, turns: int) -> tuple[float, float]:
        """Bits, and squared error of the image, where errors cost ``price`` times what they do."""
        objective, shape = self.objective(price), self.prior.shape
        centres = torch.from_numpy(self.prior.centres).float()
        quantizer.arrange(self.prior.levels)
        mean, move, hard = self.y, torch.zeros_like(self.y), self.y
        still = torch.zeros(len(mean), dtype=torch.bool)
        places = [SCHEDULE.at(step) for step in range(SCHEDULE.steps)]
        for turn in range(turns):
            for temperature, pace in places:
                target = mean + objective.pull(mean, shape) - centres
                wanted = quantizer.mean(target, objective.weight, temperature) + centres - mean
                move = pace * wanted + SCHEDULE.momentum * move
                mean = torch.where(still, mean, mean + move)
            hard = quantizer.cheapest(mean - centres, HARDENING * objective.weight) + centres
            still |= torch.arange(len(mean)) // (shape[1] * shape[2]) % turns == turn
            mean, move = torch.where(still, hard, mean), torch.zeros_like(mean)
            places = [(SCHEDULE.temperature[1], 0.3)] * 2
        size = self.x.shape[-2:]
        image = objective.synthesis(hard.reshape(1, *shape))[..., : size[0], : size[1]]
        error = (image.clamp(0, 1) - self.x).square().sum(dtype=torch.float64)
        return quantizer.bits(), float(error)


def cases(codec: Codec, files: Sequence[Path]) -> Iterator[Case]:
    """The middles of photographs."""
    encoder, adapter = Encoder(codec.assembly), codec.assembly.adapter
    sensitivity, draft = sensitivity_of(adapter, codec.recipe.lmbda), Draft(adapter)
    for file in files:
        x = _middle(read_image(file))
        latent = encoder.encode(x)["y"][0].latent
        assert isinstance(latent, Latent)
        plane = int(np.prod(latent.prior.shape[1:]))
        worth = np.repeat(sensitivity.squared, plane).astype(np.float32)

        def objective(price: float, x: Tensor = x, worth: NDArray[np.float32] = worth) -> Objective:
            trade = price * sensitivity.trade
            weight = torch.from_numpy(np.maximum(trade * worth, 0.5).astype(np.float32))
            return Objective(draft, x, trade, weight, draft.tiles)

        y = torch.from_numpy(encoder.targets(x)[0][0]).flatten()
        yield Case(x, y, latent.prior, objective)


def _middle(x: Tensor) -> Tensor:
    """512×768 pixels at most, whole blocks of 64."""
    height, width = (min(most, side) // 64 * 64 for most, side in zip((512, 768), x.shape[-2:]))
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


Refittable = TypeVar("Refittable", OnRefitted, OnTrellis)


def fitted(quantizer: Refittable, photographs: Sequence[Case], rounds: int) -> Refittable:
    """With tables of what annealing leaves."""
    for _ in range(rounds):
        counts = []
        for case in photographs:
            for price in REFIT_PRICES:
                case.tried(quantizer, price, 1)
                counts.append(quantizer.counted())
        quantizer.refit(np.sum(counts, axis=0))
    return quantizer


def curve(case: Case, quantizer: Quantizer, turns: int) -> Iterator[tuple[float, float]]:
    """bpp and PSNR at each price."""
    for price in PRICES:
        bits, error = case.tried(quantizer, price, turns)
        yield bits / case.x[0, 0].numel(), -10 * np.log10(error / case.x.numel())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_codec(parser, "tiny-mbt2018-mean", quality=2)
    parser.add_argument("--data", default="kodak")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--photographs", type=int, default=3, help="of CLIC, to refit tables to")
    parser.add_argument("--refits", type=int, default=2, help="rounds of it")
    parser.add_argument("--spacing", type=float, nargs="+", default=[1.36])
    parser.add_argument("--turns", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rows", type=Path, metavar="CSV", help="where each image's numbers go")
    args = parser.parse_args(argv)
    recipe = get_preset("slow").but(quant="int", postfilter=False, shift=False)
    codec = latentopt.wrap(load(args), recipe=recipe.but(context=True))
    clic = sorted((DATA / "clic").glob("*.png"))[:: 28 // max(args.photographs, 1)]
    taught = list(cases(codec, clic[: args.photographs]))
    images = datasets.resolve(args.data).paths[: args.limit]
    shown = list(cases(codec, images))
    density = codec.assembly.channels[0].density
    prices = Prices(density)
    of = {
        rule: OnLattices(Tables(density, RULES[rule], "exact", None), prices)
        for rule in ("int", "auto")
    }
    ways: dict[str, Quantizer] = {"int": of["int"], "auto": of["auto"]}
    vectors = OnRefitted(Tables(density, RULES["auto"], "exact", None), prices, density)
    ways["auto, refitted"] = fitted(vectors, taught, args.refits)
    spreads = np.maximum(density.spreads, 1e-3)
    for spacing in args.spacing:
        plain, refitted = (OnTrellis(spreads, spacing, of["int"]) for _ in range(2))
        ways[f"trellis {spacing:g}"] = plain
        ways[f"trellis {spacing:g}, refitted"] = fitted(refitted, taught, args.refits)
    rows = []
    print(head("", *(f"{turns} turns" for turns in args.turns)))
    first = [list(curve(case, ways["int"], 1)) for case in shown]
    for name, quantizer in ways.items():
        gains = []
        for turns in args.turns:
            each = []
            for file, case, before in zip(images, shown, first):
                now = list(curve(case, quantizer, turns))
                (rate, quality), (own_rate, own) = zip(*before), zip(*now)
                each.append(bd_rate(rate, quality, own_rate, own))
                rows += [(name, turns, file.stem, price, *at) for price, at in zip(PRICES, now)]
            gains.append(f"{np.mean(each):+.2f} %")
        print(line(name, *gains), flush=True)
    if args.rows:
        with args.rows.open("w", newline="") as file:
            csv.writer(file).writerows(
                [("quantizer", "turns", "image", "price", "bpp", "psnr_db"), *rows]
            )


if __name__ == "__main__":
    with torch.no_grad():
        run(main)
