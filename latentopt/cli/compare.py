"""`latentopt compare`: how far decoded images are from their originals."""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli.arguments import names
from latentopt.cli.outputs import check_output
from latentopt.errors import InputError
from latentopt.extras import need

if TYPE_CHECKING:
    from torch import Tensor

EPILOG = """examples:
  latentopt compare photo.png decoded.png
  latentopt compare photo.png decoded.png -o page.html
  latentopt compare a.png a-decoded.png b.png b-decoded.png --json
  latentopt compare photo.png decoded.png --metrics lpips,dists

PSNR and MS-SSIM: more is better. LPIPS and DISTS: less is better; they need the extra "metrics".
The page shows both images over each other, with a slider between them."""

METRICS = ("lpips", "dists")  # as media.perceptual has them; a test compares
_WORDS = {"psnr_db": "PSNR {:.2f} dB", "ms_ssim": "MS-SSIM {:.5f}"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    images = "original and decoded image, in turns"
    add("images", type=Path, nargs="+", metavar="IMAGE", help=images)
    page = "page to write, with a slider between the two images"
    add("-o", "--output", type=Path, metavar="P.html", help=page)
    more = f"measure these, too: {', '.join(METRICS)}"
    add("--metrics", type=names, default=(), metavar="NAME,…", help=more)
    add("--json", action="store_true", help="one JSON object a line for each pair, not words")


def run(args: argparse.Namespace) -> int:
    pairs = _pairs(args)
    from latentopt.media.images import read_image, to_uint8
    from latentopt.media.perceptual import distances

    if args.output:  # imported early, so that what is missing is missed early
        from latentopt.report.page import pair_page
    measure = distances(args.metrics)
    for pair in pairs:
        x, x_hat = (to_uint8(read_image(path)) for path in pair)
        found = _measured(x, x_hat, measure)
        print(_line(pair, found, args.json))
    if args.output:
        from latentopt.atomic import write_whole

        facts = {"Original": str(pair[0]), "Decoded": str(pair[1]), "Quality": _words(found)}
        page = pair_page(x, x_hat, (pair[0].name, pair[1].name), facts)
        write_whole(args.output, page.encode("utf-8"))
    return 0


def _pairs(args: argparse.Namespace) -> list[tuple[Path, Path]]:
    """What is to be compared, checked before anything slow is imported."""
    pairs = list(zip(args.images[::2], args.images[1::2]))
    if len(args.images) % 2:
        raise InputError(f"{args.images[-1]}: has no partner; images come in pairs")
    unknown = [name for name in args.metrics if name not in METRICS]
    if unknown:
        raise InputError(f"--metrics {unknown[0]}: known are {', '.join(METRICS)}")
    for path in args.images:
        if not path.exists():
            raise InputError(f"cannot read {path}: no such image")
    if args.metrics:
        need("metrics", "pyiqa")
    for pair in pairs:
        _check_sizes(*pair)
    if args.output:
        if len(pairs) > 1:
            raise InputError(f"-o {args.output}: a page shows one pair of images, not {len(pairs)}")
        check_output(args.output, args.images)
    return pairs


def _check_sizes(original: Path, decoded: Path) -> None:
    from latentopt.media.rgb import image_size

    sizes = [image_size(path) for path in (original, decoded)]
    if sizes[0] != sizes[1]:
        (width, height), (own_width, own_height) = sizes
        raise InputError(
            f"{decoded}: is {own_width}x{own_height}, and {original} is {width}x{height}"
        )


def _measured(
    x: "Tensor",
    x_hat: "Tensor",
    measure: "Callable[[Tensor, Tensor], dict[str, float]]",
) -> dict[str, float]:
    from latentopt.media.quality import ms_ssim, psnr_db

    return {"psnr_db": psnr_db(x, x_hat), "ms_ssim": ms_ssim(x, x_hat), **measure(x, x_hat)}


def _line(pair: Sequence[Path], found: dict[str, float], as_json: bool) -> str:
    if not as_json:
        return f"{pair[1]}: {_words(found)}"
    finite = {name: v if math.isfinite(v) else None for name, v in found.items()}
    return json.dumps({"original": str(pair[0]), "decoded": str(pair[1]), **finite})


def _words(found: dict[str, float]) -> str:
    """Without MS-SSIM where an image is too small for it."""
    said = {name: _WORDS.get(name, name.upper() + " {:.4f}") for name in found}
    return ", ".join(said[name].format(v) for name, v in found.items() if not math.isnan(v))
