"""`latentopt encode`: an image or a clip to a file."""

import argparse

from latentopt.cli import (
    archive,
    arguments,
    batch,
    dcvc,
    maps,
    model,
    native,
    recipe,
    samples,
    targets,
)
from latentopt.cli.outputs import check_output
from latentopt.cli.progress import progress
from latentopt.cli.recipe import CLIP_OPTIONS
from latentopt.cli.sources import Job, Kind, check_input, check_size, plan, within
from latentopt.errors import InputError
from latentopt.media import IMAGE_SUFFIXES

EPILOG = """examples:
  latentopt encode photo.png
  latentopt encode photo.png -o photo.lo --preset best --versus-plain
  latentopt encode photo.png --codec tiny-cheng2020-attn --quality 2
  latentopt encode photos/ -o coded/ --jobs 4
  latentopt encode 'photos/**/*.jpg' --no-clobber
  latentopt encode s3://bucket/photos -o s3://bucket/coded --engine dask
  convert photo.heic png:- | latentopt encode - > photo.lo
  latentopt encode clip.y4m -o clip.lov --gop 8
  latentopt encode clip.y4m --target-kbps 300

A folder's images are coded to files of the same names, in the same subfolders. Where one fails it
is named, the others are coded, and the exit code is 1."""


_KIND = Kind("image or clip", IMAGE_SUFFIXES, becomes=".lo")
_OF_IMAGES = (
    *("jobs", "engine", "scheduler", "json", "no_clobber", "versus_plain", "max_pixels"),
    *("postfilter", "progressive"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    inputs = (
        "8-bit image (PNG, JPEG, WebP, …), folder or glob of them, - for standard input; or a clip"
    )
    add("inputs", type=archive.place, nargs="+", metavar="IN", help=inputs)
    output = "file to write, or folder, for several too (default: photo.lo beside photo.png)"
    add("-o", "--output", type=archive.place, metavar="OUT", help=output)
    add("--versus-plain", action="store_true", help="say what is saved against plain rounding")
    arguments.add_max_pixels(parser)
    batch.add_arguments(parser)
    archive.add_arguments(parser)
    model.add_arguments(parser)
    native.add_argument(parser)
    recipe.add_arguments(parser)
    recipe.add_clip_arguments(parser)
    targets.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    is_archive = archive.is_meant(args)
    for path in args.inputs if len(args.inputs) == 1 and not is_archive else ():
        check_input(path, _KIND)
    targets.settle(args)
    model.settle(args, args.inputs[0])
    native.check(args)
    maps.settle(args)
    samples.settle(args)
    recipe.check(args)
    from latentopt import zoo

    is_clip = bool(args.predicted) or (not dcvc.is_named(args) and zoo.is_video(args.codec))
    targets.check_kind(args, is_clip)
    if is_clip:
        return _encode_clip(args)
    arguments.refuse(args, CLIP_OPTIONS, "for video codecs")
    kind = native.kind(args, _KIND)
    if is_archive:
        return archive.run(kind, archive.encoding, args)
    planned = plan(args.inputs, args.output, kind, [args.weights])
    planned = planned.checked(lambda job: _check(job, args))
    failed = batch.run(planned, worker, args)
    native.remark(args)
    return failed


def worker(args: argparse.Namespace) -> batch.Worker:
    """What encodes images."""
    from latentopt.cli.images import ImageEncoder

    return ImageEncoder(args)


def _check(job: Job, args: argparse.Namespace) -> None:
    """Refuse a clip, an image that cannot be coded, and an output that is called an image."""
    if job.output.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{job.output}: encode writes coded files; give it a name in .lo")
    if job.source.suffix.lower() in model.CLIPS:
        raise InputError(
            f"{job.source}: is a clip, and {args.codec} codes images; use a video codec, such as "
            f"{model.CLIP_CODEC}"
        )
    check_size(job, arguments.max_pixels(args))


def _encode_clip(args: argparse.Namespace) -> int:
    codec = args.predicted or args.codec
    if archive.is_meant(args):
        raise InputError(f"{codec} codes clips, and archives are of images")
    arguments.refuse(args, _OF_IMAGES, "for image codecs", f"{codec} is not one")
    if len(args.inputs) > 1:
        raise InputError(f"{codec} codes one clip at a time, not {len(args.inputs)}")
    [clip], beside = args.inputs, args.inputs[0].with_suffix(".lov")
    output = within(args.output, beside.name) if args.output else beside
    if clip.suffix.lower() in IMAGE_SUFFIXES:
        dcvc.check_image(args, clip)
    check_output(output, [clip, *model.weights(args)])
    with progress() as stage:
        from latentopt.cli import clips

        print(f"{clips.encode(clip, output, args, stage)}: {output}")
    native.remark(args)
    return 0
