"""How well targets are met: misses, encodes, and what matching plain rounding saves.

Prints a line for each image and target as they come, then a summary of each target. A miss is how
far a file stays below its rate, in %, or its image above its PSNR, in dB.

    python scripts/targets.py --preset default --limit 24
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from common import add_images, head, images, line, run, seconds
from torch import Tensor

from latentopt import zoo
from latentopt.codec.climb import Outcome
from latentopt.codec.dial import lambda_dial
from latentopt.codec.ladder import Ladder
from latentopt.codec.recipe import PRESETS, get_preset
from latentopt.codec.target import Bpp, MatchPsnr, Psnr, Target
from latentopt.errors import RateRangeError

TARGETS: dict[str, Target] = {
    **{f"{bpp} bpp": Bpp(bpp) for bpp in (0.15, 0.25, 0.4)},
    **{f"{psnr_db} dB": Psnr(psnr_db) for psnr_db in (28, 30, 32)},
}
MATCH, MATCH_LAMBDA = "match psnr", "match psnr by lambda"
COLUMNS = ("image", "target", "quality", "step", "lambda", "bytes", "PSNR", "miss", "encodes", "s")


@dataclass(frozen=True)
class Result:
    """One image coded to one target."""

    outcome: Outcome | None
    """None: out of the codec's reach."""
    miss: float
    """Of a rate in %, of a PSNR in dB."""
    seconds: float

    def cells(self) -> list[str]:
        if self.outcome is None:
            return ["out of reach", *[""] * 6, f"{self.seconds:.1f}"]
        file, own = self.outcome.file, self.outcome
        where = [str(own.quality), f"{own.step:.4g}", f"{own.lmbda:.4g}"]
        what = [f"{len(file.data)}", f"{file.psnr_db:.3f}", f"{self.miss:.3f}"]
        return [*where, *what, str(own.encodes), f"{self.seconds:.1f}"]

    @property
    def saved_percent(self) -> float:
        """Bytes against plain rounding's."""
        assert self.outcome and self.outcome.plain
        return 100 * (len(self.outcome.file.data) / len(self.outcome.plain.data) - 1)


def measured(ladder: Ladder, x: Tensor, target: Target, quality: int | None) -> Result:
    """One image (1, 3, H, W) coded to one target, at ``quality`` if one is given."""

    def code() -> Outcome | None:
        try:
            return ladder.encode(x, target, quality)
        except RateRangeError:
            return None

    spent, outcome = seconds(code)
    return Result(outcome, _miss(outcome, target) if outcome else 0.0, spent)


def _miss(outcome: Outcome, target: Target) -> float:
    if isinstance(target, Bpp):
        return 100 * (1 - outcome.file.bpp / target.bpp)
    wanted = target if isinstance(target, Psnr) else outcome.plain
    assert wanted, "only plain rounding is matched otherwise"
    return outcome.file.psnr_db - wanted.psnr_db


def summary(results: Sequence[Result]) -> list[str]:
    """Images met, out of reach, largest miss, mean and most encodes, seconds per image."""
    met = [r for r in results if r.outcome]
    encodes = [r.outcome.encodes for r in met if r.outcome]
    largest = max((r.miss for r in met), key=abs, default=0.0)
    mean = sum(encodes) / max(1, len(encodes))
    spent = sum(r.seconds for r in results) / len(results)
    counts = [f"{len(met)} of {len(results)}", str(len(results) - len(met)), f"{largest:.3f}"]
    return [*counts, f"{mean:.2f}", str(max(encodes, default=0)), f"{spent:.1f}"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--preset", default="fast", choices=PRESETS)
    parser.add_argument("--quality", type=int, default=3, help="at which plain rounding is matched")
    add_images(parser, "kodak", 3)
    args = parser.parse_args(argv)
    models, recipe = zoo.models(args.codec), get_preset(args.preset)
    ladder, still = Ladder(models, recipe), Ladder(models, recipe, dial=lambda_dial)
    tasks = {name: (ladder, target, None) for name, target in TARGETS.items()}
    tasks[MATCH] = (ladder, MatchPsnr(), args.quality)
    tasks[MATCH_LAMBDA] = (still, MatchPsnr(), args.quality)
    results: dict[str, list[Result]] = {name: [] for name in tasks}
    print(head(*COLUMNS))
    for number, x in enumerate(images(args), 1):
        for name, (own, target, quality) in tasks.items():
            result = measured(own, x, target, quality)
            results[name].append(result)
            print(line(str(number), name, *result.cells()), flush=True)
    print(f"\n{head('target', 'met', 'out of reach', 'largest miss', 'encodes', 'most', 's')}")
    for name, of_target in results.items():
        print(line(name, *summary(of_target)))
    for name in (MATCH, MATCH_LAMBDA):
        saved = [r.saved_percent for r in results[name] if r.outcome]
        if saved:
            span = f"from {min(saved):.2f} to {max(saved):.2f}"
            print(f"\n{name}: {sum(saved) / len(saved):.2f} % of the bytes, {span}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
