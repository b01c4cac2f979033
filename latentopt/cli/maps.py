"""What the options that speak of points mean for codecs of one-hot maps: nothing."""

import argparse

from latentopt.cli import dcvc
from latentopt.cli.arguments import refuse
from latentopt.cli.native import is_native
from latentopt.cli.recipe import OF_POINTS
from latentopt.errors import InputError
from latentopt.zoo import catalog
from latentopt.zoo.names import OWN

_OF_OTHERS = ("spread", "sampler", "seed", "postfilter")


def settle(args: argparse.Namespace) -> None:
    """Refuse what chooses points, where the codec is one whose maps are what they are.

    Raises:
        InputError: the message names the option.
    """
    if dcvc.is_named(args) or catalog.family(args.codec) not in OWN:
        return
    unlike = f"{args.codec} sends its maps as they are"
    refuse(args, (*OF_POINTS, *_OF_OTHERS), "for codecs with something to choose", unlike)
    if args.step != 1:
        raise InputError(f"--step {args.step:g}: {unlike}: leave it out")
    if is_native(args):
        raise InputError(f"--format {args.format}: {unlike}, which CompressAI's files do not know")
