"""Training data: batches follow from the seed and the step, in shape and range, split for good."""

from pathlib import Path

import pytest
import torch
from support.models import photo
from torch import Tensor

from latentopt.errors import DataError, InputError
from latentopt.media.images import write_png
from latentopt.training import Clips, Photographs, split, validation_images


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(8):
        write_png(folder / f"{i}.png", photo(140, 200, seed=i))
    return list(folder.iterdir())


def test_photographs_repeat_by_seed_and_step(files: list[Path]) -> None:
    data = Photographs(files, crop=64, batch=3, seed=1)
    first = data.batch(5)
    assert first.shape == (3, 3, 64, 64) and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1 and first.std() > 0.05
    data.batch(6)
    assert torch.equal(data.batch(5), first)
    assert not torch.equal(data.batch(6), first)
    assert not torch.equal(Photographs(files, 64, 3, seed=2).batch(5), first)


def test_photographs_that_are_too_small_are_refused(files: list[Path]) -> None:
    with pytest.raises(InputError, match=r"\d\.png is 200x140: no crop of 141 fits: give --crop"):
        Photographs(files, crop=141, batch=1, seed=0)
    with pytest.raises(InputError, match="no photographs"):
        Photographs([], crop=64, batch=1, seed=0)


@pytest.mark.parametrize("kept", [0, 200])
def test_damaged_photographs_are_named(files: list[Path], kept: int, tmp_path: Path) -> None:
    damaged = tmp_path / "x.png"
    damaged.write_bytes(files[0].read_bytes()[:kept])
    with pytest.raises(DataError, match=r"x\.png: (is empty|not a readable image)"):
        Photographs([*files, damaged], crop=64, batch=1, seed=0)
    with pytest.raises(DataError, match=r"x\.png: (is empty|not a readable image)"):
        validation_images([*files, damaged])


def test_the_split_is_whole_and_held_out_images_are_whole_blocks(files: list[Path]) -> None:
    training, held_out = split(files)
    assert sorted(training + held_out) == sorted(files) and not set(training) & set(held_out)
    assert [f.name for f in held_out] == ["0.png", "7.png"]
    for x, again in zip(validation_images(held_out), validation_images(held_out), strict=True):
        assert x.shape == (1, 3, 64, 64) and torch.equal(x, again)


def test_clips(files: list[Path]) -> None:
    one, same, other = (Clips(files, 64, 4, 3, seed) for seed in (1, 1, 2))
    frames, again = one.batch(5), same.batch(5)
    assert len(frames) == 3
    for x, y in zip(frames, again):
        assert x.shape == (4, 3, 64, 64) and x.dtype == torch.float32
        assert x.min() >= 0 and x.max() <= 1
        assert torch.equal(x, y)
    assert not torch.equal(frames[0], other.batch(5)[0])
    assert not torch.equal(frames[0], one.batch(6)[0])
    moved = [psnr(a, b) for a, b in zip(frames[0], frames[2])]
    assert min(moved) > 8 and len(set(moved)) == 4  # the same scene, filmed differently


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * float((a - b).square().mean().log10())
