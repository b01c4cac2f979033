"""Train one embedded codec: `python scripts/train_zoo.py tiny-mbt2018-mean 3`.

Settings are in scripts/zoo/CODEC.toml. Every --save-every steps the state goes to RUNS/CODEC-Q.pt,
and a run that finds one goes on from it; RUNS/CODEC-Q.csv logs RD on the validation split, and
RUNS/CODEC-Q.best.pt keeps the weights with the lowest validation loss. `--export` writes those
into the package as fp16.
"""

import argparse
import csv
import math
import os
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel
from compressai.models import CompressionModel
from PIL import Image
from pytorch_optimizer import SOAP
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from tqdm import tqdm

from latentopt.zoo.architectures import CLASSES
from latentopt.zoo.embedded import EMBEDDED, write_embedded

HERE = Path(__file__).parent
SCALES = (1.0, 0.8, 0.63, 0.5, 0.4, 0.32)  # of a two-megapixel photograph, kept in memory
HELD_OUT = 7  # every 7th image of the folder is for validation


def settings(codec: str, quality: int) -> dict[str, Any]:
    """Common settings of a codec, overridden by those of one quality."""
    config = tomllib.loads((HERE / "zoo" / f"{codec}.toml").read_text())
    own = config.pop("quality")[str(quality)]
    return config | own


class Photographs:
    """Random crops of the training images: scale, place, flip, transpose, colour."""

    def __init__(self, files: list[Path], crop: int, batch: int, seed: int) -> None:
        self.crop, self.batch = crop, batch
        self.random = np.random.default_rng(seed)
        images = [Image.open(f).convert("RGB") for f in files]
        self.pyramids = [
            [np.asarray(_resized(i, s)) for s in SCALES if s * min(i.size) > crop] for i in images
        ]

    def next(self) -> Tensor:
        """A batch, (batch, 3, crop, crop) in [0, 1]."""
        crops = torch.from_numpy(np.stack([self._one() for _ in range(self.batch)]))
        x = crops.permute(0, 3, 1, 2).float() / 255
        return self._recoloured(x)

    def _one(self) -> np.ndarray:
        r = self.random
        pyramid = self.pyramids[r.integers(len(self.pyramids))]
        image = pyramid[r.integers(len(pyramid))]
        top, left = (int(r.integers(n - self.crop + 1)) for n in image.shape[:2])
        patch = image[top : top + self.crop, left : left + self.crop]
        if r.random() < 0.5:
            patch = patch[:, ::-1]
        return patch.transpose(1, 0, 2) if r.random() < 0.25 else patch

    def _recoloured(self, x: Tensor) -> Tensor:
        """A mild gamma per image and gain per channel, without clipping."""
        r = self.random
        gamma = torch.from_numpy(np.exp(r.normal(0, 0.15, (len(x), 1, 1, 1)))).float()
        gain = torch.from_numpy(r.uniform(0.8, 1.0, (len(x), 3, 1, 1))).float()
        return gain * x**gamma


def _resized(image: Image.Image, scale: float) -> Image.Image:
    size = tuple(round(n * scale) for n in image.size)
    return image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)


def split(folder: Path) -> tuple[list[Path], list[Path]]:
    """The photographs to train on, and those held out for validation."""
    files = sorted(folder.glob("*.png"))
    return [f for i, f in enumerate(files) if i % HELD_OUT], files[::HELD_OUT]


def validation_images(files: list[Path]) -> list[Tensor]:
    """The held-out photographs at half size, cropped to multiples of 64."""
    images = []
    for file in files:
        rgb = np.asarray(_resized(Image.open(file).convert("RGB"), 0.5))
        height, width = (n // 64 * 64 for n in rgb.shape[:2])
        x = torch.from_numpy(rgb[:height, :width].copy()).permute(2, 0, 1)[None].float() / 255
        images.append(x)
    return images


def entropy_in_float32(model: nn.Module) -> None:
    """Keep likelihoods out of autocast: bf16 has too few digits for differences of CDFs."""
    for module in model.modules():
        if isinstance(module, EntropyModel):
            module.forward = _without_autocast(module.forward)  # type: ignore[method-assign]


def _without_autocast(forward: Any) -> Any:
    def wide(*args: Any, **kwargs: Any) -> Any:
        args = tuple(a.float() if isinstance(a, Tensor) else a for a in args)
        kwargs = {k: a.float() if isinstance(a, Tensor) else a for k, a in kwargs.items()}
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return forward(*args, **kwargs)

    return wide


def rate_and_distortion(out: dict[str, Any], x: Tensor) -> tuple[Tensor, Tensor]:
    """Bits per pixel, and mean squared error of samples in [0, 255]."""
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    bits = sum(-p.log2().sum() for p in out["likelihoods"].values())
    return bits / pixels, mse_loss(out["x_hat"].float(), x) * 255**2


_DENSITY = tuple(
    f"entropy_bottleneck.{name}" for name in ("matrices", "biases", "factors", "quantiles")
)
_LATENT = ("g_a.6.weight", "g_a.6.bias", "g_s.0.weight")  # one slice per latent channel


def inherit(model: nn.Module, donor: nn.Module, batch: Tensor) -> None:
    """Start from another codec's weights: whatever has the same shape, and latent channels.

    A donor with more of them gives those that vary most on ``batch``; one with fewer gives all.
    """
    own, theirs = model.state_dict(), donor.state_dict()
    same = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if "g_a.6.weight" not in same and "g_a.6.weight" in own:
        with torch.no_grad():
            activity = donor.g_a(batch).std(dim=(0, 2, 3))
        keep = activity.argsort(descending=True)[: own["g_s.0.weight"].shape[0]]
        for name, value in theirs.items():
            # Also the factorized density of this latent, if it has one.
            density = name.startswith(_DENSITY) and len(value) == len(activity)
            if density or name in _LATENT:
                own[name][: len(keep)] = value[keep]
    model.load_state_dict(own | same)


@torch.no_grad()
def validate(
    model: CompressionModel,
    samples: list[Any],
    measure: Callable[[dict[str, Any], Any], tuple[Tensor, Tensor]],
) -> tuple[float, float]:
    """Mean bpp and mean squared error over the validation samples, rounding as a codec does."""
    model.eval()
    rd = [measure(model(x), x) for x in samples]
    model.train()
    bpp, mse = (float(torch.stack(column).mean()) for column in zip(*rd))
    return bpp, mse


def fit_quantiles(model: CompressionModel, steps: int = 400) -> None:
    """Medians and tails of the factorized density, which its tables are centred and cut by."""
    densities = [m for m in model.modules() if isinstance(m, EntropyBottleneck)]
    quantiles = [density.quantiles for density in densities]
    adam = torch.optim.Adam(quantiles, lr=0.05)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 0.05 * (1 - step / steps) + 1e-4
        adam.zero_grad()
        sum(density.loss() for density in densities).backward()
        adam.step()


class Run:
    """One codec in training: what a resumed process must find again."""

    measure = staticmethod(rate_and_distortion)

    def __init__(self, codec: str, quality: int, args: argparse.Namespace) -> None:
        self.codec, self.quality = codec, quality
        self.config = settings(codec, quality)
        self.path = args.runs / f"{codec}-{quality}.pt"
        self.device = torch.device(args.device)
        self.layout = getattr(torch, self.config.get("memory_format", "channels_last"))
        torch.manual_seed(self.config["seed"])
        training, held_out = split(args.data)
        self.data = self.samples(training)
        self.held_out = [self._placed(x) for x in self.validation_samples(held_out)]
        self.model = self._new_model(args.runs)
        self.optimizer = self._optimizer()
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        if self.path.is_file():
            self._load()

    def samples(self, files: list[Path]) -> Photographs:
        """What ``next()`` gives batches of to train on."""
        config = self.config
        return Photographs(files, config["crop"], config["batch"], config["seed"])

    def validation_samples(self, files: list[Path]) -> list[Any]:
        """What the model and `measure` take, the same in every run."""
        return validation_images(files)

    def _placed(self, x: Any) -> Any:
        """A sample, a tensor or a list of them, where and as the model wants it."""
        if isinstance(x, list):
            return [self._placed(frame) for frame in x]
        return x.to(self.device, memory_format=self.layout)

    def _new_model(self, runs: Path) -> CompressionModel:
        cls = CLASSES[self.config["architecture"]]
        model = cls(*self.config["widths"])
        if "start" in self.config:
            codec, quality = self.config["start"]
            state = torch.load(runs / f"{codec}-{quality}.best.pt", weights_only=True)
            donor_class = CLASSES[settings(codec, quality)["architecture"]]
            donor = donor_class.from_state_dict(state["model"])
            inherit(model, donor, self.data.next())
        entropy_in_float32(model)
        return model.to(self.device, memory_format=self.layout)

    def _optimizer(self) -> torch.optim.Optimizer:
        named = [(n, p) for n, p in self.model.named_parameters() if not n.endswith(".quantiles")]
        density = [p for n, p in named if "entropy_bottleneck." in n]
        others = [p for n, p in named if "entropy_bottleneck." not in n]
        # The density's parameters are of the order of 1 and must move by as much.
        weights = [{"params": others, "factor": 1.0}, {"params": density, "factor": 10.0}]
        return SOAP(weights, weight_decay=0.0)

    def _load(self) -> None:
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.data.random = np.random.default_rng([self.config["seed"], self.step])

    def save(self) -> None:
        """Write the whole state, whole or not at all."""
        _write(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "best": self.best,
            },
            self.path,
        )

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine down to a hundredth."""
        warm = min(1.0, (self.step + 1) / self.config["warmup"])
        left = 0.5 * (1 + math.cos(math.pi * self.step / self.config["steps"]))
        return float(self.config["learning_rate"]) * warm * (0.01 + 0.99 * left)

    def train_step(self) -> Tensor:
        """One update; returns the loss λ·D + R."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["factor"] * self.learning_rate()
        x = self._placed(self.data.next())
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            out = self.model(x)
        bpp, mse = self.measure(out, x)
        loss = self.config["lambda"] * mse + bpp
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def check(self) -> str:
        """RD on the validation split, logged; the best weights are kept."""
        fit_quantiles(self.model)
        bpp, mse = validate(self.model, self.held_out, self.measure)
        loss = self.config["lambda"] * mse + bpp
        psnr = 10 * math.log10(255**2 / mse)
        self._log(bpp, psnr, loss)
        if loss < self.best:
            self.best = loss
            best = {"model": self.model.state_dict(), "step": self.step, "seconds": self.seconds}
            _write(best, self.path.with_suffix(".best.pt"))
        return f"{bpp:.4f} bpp {psnr:.2f} dB loss {loss:.4f}"

    def _log(self, bpp: float, psnr: float, loss: float) -> None:
        log = self.path.with_suffix(".csv")
        new = not log.is_file()
        with open(log, "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", "bpp", "psnr", "loss"])
            writer.writerow(
                [self.step, round(self.seconds), f"{bpp:.5f}", f"{psnr:.3f}", f"{loss:.5f}"]
            )

    def train(self, check_every: int) -> None:
        """Go on until the configured number of steps is done."""
        total = self.config["steps"]
        with tqdm(total=total, initial=self.step, desc=self.path.stem, mininterval=5) as bar:
            while self.step < total:
                start = time.monotonic()
                for _ in range(min(check_every, total - self.step)):
                    loss = self.train_step()
                    bar.update()
                if not torch.isfinite(loss):
                    raise SystemExit(f"{self.path.stem}: loss is {loss} at step {self.step}")
                self.seconds += time.monotonic() - start
                bar.set_postfix_str(self.check())
                self.save()


def _write(state: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)


def export(codec: str, quality: int, runs: Path) -> None:
    """Write the best weights so far into the package, with how they were made."""
    config = settings(codec, quality)
    best = torch.load(runs / f"{codec}-{quality}.best.pt", weights_only=True)
    model = CLASSES[config["architecture"]].from_state_dict(best["model"]).eval()
    made = {
        "architecture": config["architecture"],
        "quality": quality,
        "lambda": config["lambda"],
        "steps": best["step"],
        "seconds": round(best["seconds"]),
        "start": "-".join(map(str, config.get("start", ["random"]))),
    }
    path = EMBEDDED.file(codec, quality)
    half = config.get("half", ["g_a", "g_s"])
    write_embedded(model, path, {key: str(value) for key, value in made.items()}, half)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main(run: type[Run] = Run, description: str = __doc__) -> None:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("codec")
    parser.add_argument("quality", type=int)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/clic"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--check-every", type=int, default=2000, help="steps")
    parser.add_argument("--export", action="store_true", help="write the best weights, no training")
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    if args.export:
        return export(args.codec, args.quality, args.runs)
    run(args.codec, args.quality, args).train(args.check_every)


if __name__ == "__main__":
    main()
