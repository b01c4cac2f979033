"""`latentopt encode`: an image or a clip to a file."""

import argparse
from pathlib import Path

from latentopt.atomic import write_whole
from latentopt.cli import arguments, model, recipe
from latentopt.cli.outputs import check_output
from latentopt.cli.progress import Stage, frames, progress
from latentopt.cli.recipe import CLIP_OPTIONS, GOP
from latentopt.errors import InputError

EPILOG = """examples:
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3 --preset best
  latentopt encode clip.y4m -o clip.lov --codec tiny-ssf2020 --quality 3 --gop 8

A preset is a choice of the options --quant, --shift, --direction and --scales, and of how long to
search; options that are given as well prevail."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", type=Path, metavar="IN", help="8-bit image: PNG, JPEG, WebP, …; or a clip")
    add("-o", "--output", type=Path, required=True, metavar="F", help="file to write")
    model.add_arguments(parser)
    recipe.add_arguments(parser)
    recipe.add_clip_arguments(parser)


def run(args: argparse.Namespace) -> int:
    check_output(args.output, [args.image, args.weights])
    with progress() as stage:
        from latentopt import zoo

        video = not args.dcvc_repo and zoo.is_video(args.codec)
        _check_kind(args, video)
        encode = _encode_clip if video else _encode_image
        print(f"{encode(args, stage)}: {args.output}")
    return 0


def _check_kind(args: argparse.Namespace, video: bool) -> None:
    """Refuse a clip for an image codec; what an image's name says is left to its reader."""
    from latentopt.media.clips import READABLE
    from latentopt.media.images import SUFFIXES

    suffix = args.image.suffix.lower()
    if not video and suffix in READABLE and suffix not in SUFFIXES:
        raise InputError(
            f"{args.image}: is a clip, and {args.codec} codes images; "
            "use a video codec, such as tiny-ssf2020"
        )


def _encode_image(args: argparse.Namespace, stage: Stage) -> str:
    """What was written, in words."""
    from latentopt.cli.images import ImageEncoder

    arguments.refuse(args, CLIP_OPTIONS, "for video codecs")
    encoded = ImageEncoder(args)(args.image, stage)
    write_whole(args.output, encoded.data)
    return str(encoded)


def _encode_clip(args: argparse.Namespace, stage: Stage) -> str:
    """What was written, in words."""
    from latentopt.codec.wrap import wrap_video
    from latentopt.media.clips import open_clip

    stage("reading the clip")
    with open_clip(args.image, size=args.size, rate=args.rate) as clip:
        made = recipe.recipe(args).but(gop=args.gop or GOP)
        codec = wrap_video(model.model(args, stage), made)
        stage("encoding")
        with frames(clip.count) as done:
            size, written = codec.save(args.output, clip, clip.format.rate, lambda _: done())
    pixels = clip.format.width * clip.format.height * written
    return f"{written} frames, {size} bytes, {8 * size / pixels:.4f} bpp"
