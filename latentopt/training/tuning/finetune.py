"""Fine-tuning: a decoder trained on what a recipe's encoder sends it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from latentopt.adapters import with_step
from latentopt.atomic import file_hash, read_whole, write_whole
from latentopt.codec.image import Codec
from latentopt.codec.own_coder import renew_tables
from latentopt.codec.recipe import Recipe
from latentopt.codec.wrap import wrap_image
from latentopt.errors import InputError, counted
from latentopt.training.entropy import fit_quantiles, parameter_groups
from latentopt.training.loop import Loop, Options, Task
from latentopt.training.photographs import Photographs, split, validation_images
from latentopt.training.schedules import WarmCosine
from latentopt.training.tuning.duration import Budget
from latentopt.training.tuning.parts import DENSITY, SYNTHESIS, Cost, Reached, Tuned, places_of
from latentopt.training.tuning.sent import Decoded, Points

_STATE, _BEGUN = "state.pt", "begun.json"


@dataclass(frozen=True)
class Outcome:
    """What fine-tuning came to, on the photographs that were held out."""

    before: Mapping[str, float]
    """Loss, bpp and psnr_db with the weights that it began with."""
    after: Mapping[str, float]
    """The same with the best weights, and the step that they are of."""

    @property
    def improved(self) -> bool:
        """Whether other weights than those before are the best."""
        return self.after["step"] > 0


def finetune(
    model: nn.Module,
    recipe: Recipe,
    files: Sequence[Path],
    folder: Path,
    budget: Budget | None = None,
    parts: Sequence[str] = (SYNTHESIS,),
    step: float = 1.0,
) -> Outcome:
    """Train parts of an image codec's decoder on what a recipe decodes; in place.

    The model is left with the weights that are best on every seventh of the photographs, by
    lambda * 255^2 * MSE + bits per pixel, coded as files are: those that it had, where no others
    are better. A run that was stopped goes on at its last round, given the same arguments.

    Args:
        model: as :func:`latentopt.wrap` takes it. Lambda is the recipe's, else the model's own,
            else that which its weights tell.
        files: photographs, to train on and to validate.
        folder: for the run's state and its log, ``state.csv``.
        budget: how long; None: the usual.
        parts: of :data:`PARTS`.
        step: multiplier of the quantization step that it is for.

    Raises:
        InputError: the photographs are too few or too small, the codec lacks a part, or the folder
            has another run.
        DataError: a photograph is damaged, or of another kind than 8-bit RGB or grey.
        TrainingError: the run's files are damaged, or the loss is no longer a finite number.
        UnsupportedModelError: no adapter is for the model, or its synthesis has no known name.
    """
    budget = budget or Budget()
    if step != 1 and DENSITY in parts:
        raise InputError(f"step {step:g}: densities are trained at step 1 only")
    codec = wrap_image(with_step(model, step), recipe)
    codec = codec.with_lmbda(codec.lmbda)
    tuned = Tuned(codec, parts)
    run = _description(codec, tuned, files, budget)
    _refuse_other(folder, run)
    task = _task(codec, tuned, files, budget)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _BEGUN, run)
    loop = Loop(task, folder / _STATE, _options(codec, budget, folder.name))
    loop.train(budget.steps, budget.steps_a_round)
    after = loop.take_best()
    _hand_over(tuned, model, places_of(codec.assembly.adapter, parts))
    return Outcome(loop.rows[0], after)


def _task(
    codec: Codec, tuned: Tuned, files: Sequence[Path], budget: Budget
) -> Task[Reached, Points | Tensor]:
    stride = codec.assembly.adapter.stride
    if budget.crop % stride:
        raise InputError(f"crop {budget.crop}: this codec takes multiples of {stride}")
    ours, kept = split(files)
    if not ours:
        few = counted(len(files), "photograph")
        raise InputError(
            f"{few}: at least 2 are needed, as every seventh, from the first, validates"
        )
    crops = Photographs(ours, budget.crop, budget.crops, budget.seed)
    return Task(
        model=tuned,
        loss=Cost(codec.lmbda),
        data=Decoded(codec, crops, budget),
        held_out=_validation(kept),
        optimizer=lambda model: torch.optim.Adam(parameter_groups(model)),
        schedule=WarmCosine(budget.learning_rate, max(1, budget.steps // 20), budget.steps),
        before_check=fit_quantiles if DENSITY in tuned.parts else None,
    )


def _validation(kept: Sequence[Path]) -> list[Tensor]:
    images = validation_images(kept)
    for file, x in zip(kept, images):
        if not x.numel():
            raise InputError(f"{file}: too small to validate on: 128 pixels a side at least")
    return images


def _options(codec: Codec, budget: Budget, title: str) -> Options:
    return Options(
        seed=budget.seed,
        device=str(codec.assembly.device),
        memory_format=torch.channels_last,
        autocast=None,
        check_first=True,
        title=title,
    )


def _description(codec: Codec, tuned: Tuned, files: Sequence[Path], budget: Budget) -> bytes:
    """What a run is: the same of no other. Of photographs, names alone may be of others."""
    run = {
        "weights": codec.identity.weights_hash.hex(),
        "recipe": repr(codec.recipe),
        "parts": list(tuned.parts),
        "files": [[file.name, file_hash(file)] for file in sorted(files)],
        **asdict(budget),
    }
    return json.dumps(run, indent=1).encode()


def _refuse_other(folder: Path, run: bytes) -> None:
    """InputError where a folder has another run, or one that does not say what it is."""
    begun = folder / _BEGUN
    if not begun.is_file():
        if (folder / _STATE).is_file():
            says = f"holds a run, and no {_BEGUN} that would say of what"
            raise InputError(f"{folder}: {says}; bring it back, or take another folder")
        return
    said = read_whole(begun)
    if not _is_description(said, run):
        raise InputError(f"{begun}: is damaged; bring back a copy, or take another folder")
    if said != run:
        otherwise = "holds a run that was begun otherwise; move it away, or name another output"
        raise InputError(f"{folder}: {otherwise}")


def _is_description(said: bytes, run: bytes) -> bool:
    """Whether something says of a run what :func:`_description` does of this one."""
    try:
        content = json.loads(said)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() == json.loads(run).keys()


@torch.no_grad()
def _hand_over(tuned: Tuned, model: nn.Module, places: Mapping[str, str]) -> None:
    """Give a model the weights of the parts; what steps are multiplied with has none."""
    for part, place in places.items():
        theirs = tuned.parts[part].parameters()
        for own, found in zip(model.get_submodule(place).parameters(), theirs, strict=True):
            own.copy_(found)
    if DENSITY in places:
        renew_tables(model)
