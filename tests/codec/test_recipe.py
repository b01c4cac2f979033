"""Recipes: what is refused, how presets and arguments meet, and what a file's header keeps."""

import pickle
from dataclasses import fields, replace
from itertools import product
from typing import Any

import pytest
from compressai.models import MeanScaleHyperprior
from support.models import FAMILIES, tiny
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError, Recipe
from latentopt.bitstream import DIRECTIONS, Settings
from latentopt.bitstream.headers import LATTICE, PMFS
from latentopt.cli.words import told
from latentopt.codec.recipe import ALTERNATIVES, PRESETS, Words, get_preset
from latentopt.codec.wrap import wrap_image
from latentopt.encoder import SEARCHES, Ahead, Effort, Grid, Schedule, Secant
from latentopt.lattices import RULES

EFFORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return tiny(MeanScaleHyperprior)


# -- what is refused -------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "quant": ({"quant": "a2"}, "'a2'.*int, hex, oct, d4, e8, auto"),
    "direction": ({"direction": "up"}, "unknown direction 'up': choose density, sign, split"),
    "pmf": ({"pmf": "no"}, "unknown pmf 'no': choose exact, paper"),
    "pmf and effort": ({"pmf": "paper", "effort": EFFORT}, "pmf='paper' excludes"),
    "pmf and scales": ({"pmf": "paper", "scales": True}, "pmf='paper' excludes"),
    "channel": ({"channel": "ether"}, "unknown channel 'ether': choose lattice"),
    "lmbda of 0": ({"lmbda": 0.0}, "lmbda 0.0: it must be a positive number"),
    "lmbda below": ({"lmbda": -1.0}, "lmbda -1.0: it must be a positive number"),
    "lmbda that is none": ({"lmbda": float("nan")}, "lmbda nan: it must be a positive number"),
    "lmbda without end": ({"lmbda": float("inf")}, "lmbda inf: it must be a positive number"),
    "effort by name": ({"effort": "slow"}, "effort 'slow'"),
    "ahead by name": ({"ahead": "yes"}, "ahead 'yes'"),
    "shift by number": ({"shift": 3}, "shift 3"),
    "gop of halves": ({"gop": 1.5}, "gop 1.5"),
    "gop": ({"gop": 0}, "gop 0: a key frame comes every 1 frame or more"),
}


@pytest.mark.parametrize("words, message", BAD.values(), ids=BAD)
def test_bad_values_are_refused_wherever_they_come_from(
    model: nn.Module, words: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**words)
    with pytest.raises(InputError, match=message):
        Recipe().but(**words)
    with pytest.raises(InputError, match=message):
        latentopt.wrap(model, **words)


def test_a_search_that_does_not_exist_is_named(model: nn.Module) -> None:
    message = "unknown shift search 'best': choose secant, grid"
    with pytest.raises(InputError, match=message):
        Recipe().but(shift="best")
    with pytest.raises(InputError, match=message):
        latentopt.wrap(model, shift="best")


@pytest.mark.parametrize("shift", [True, "grid"])
def test_a_recipe_itself_takes_searches_only(shift: Any) -> None:
    """``but`` and ``wrap`` know the words."""
    with pytest.raises(InputError, match=f"shift {shift!r}"):
        Recipe(shift=shift)


def test_errors_of_values_are_value_errors() -> None:
    with pytest.raises(ValueError, match="gop -3"):
        Recipe(gop=-3)


def test_a_preset_and_a_recipe_exclude_each_other(model: nn.Module) -> None:
    with pytest.raises(InputError, match="preset and recipe exclude each other"):
        latentopt.wrap(model, preset="fast", recipe=Recipe())


@pytest.mark.parametrize(
    "name, value", [("gop", 2), ("ahead", Ahead()), ("parts", ("image",))], ids=str
)
def test_what_is_for_videos_is_refused_for_images_by_name(
    model: nn.Module, name: str, value: object
) -> None:
    message = f"{name} is for video codecs, and this is an image codec"
    words: dict[str, Any] = {name: value}
    with pytest.raises(InputError, match=message):
        latentopt.wrap(model, **words)
    with pytest.raises(InputError, match=message):
        latentopt.wrap(model, recipe=Recipe(**words))


def test_words_are_named_as_they_were_said(model: nn.Module) -> None:
    """In Python's, and for the command as options, in processes of its own, too."""
    native: dict[str, Any] = {"format": "compressai", "preset": "fast"}
    for words, python, option in (
        ({"shift": True, **native}, "shift=True is not for format='compressai'", "--shift is not"),
        (
            {"shift": "grid", **native},
            "shift='grid' is not for",
            "--shift grid is not for --format",
        ),
        ({"portable": True, **native}, "portable=True is not for", "--portable is not for"),
        ({"dither": 0, **native}, "dither=0 is not for", "--dither 0 is not for --format"),
        ({"pmf": "paper", "scales": True}, "pmf='paper' excludes an", "--pmf paper excludes an"),
        ({"spread": 0.3, "quant": "e8"}, "spread and quant exclude", "--spread and --quant ex"),
        ({"spread": 99}, "spread=99: it is from", "--spread 99: it is from"),
        ({"dither": 1, "context": True}, "dither excludes effort, scales", "--dither excludes a"),
    ):
        with pytest.raises(InputError) as caught:
            latentopt.wrap(model, **words)
        assert str(caught.value).startswith(python)
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            assert told(error).startswith(option) and str(error) == str(caught.value)


# -- presets ---------------------------------------------------------------------------------------


def test_presets_are_recipes() -> None:
    assert list(PRESETS) == ["paper", "plain", "fast", "default", "slow", "best"]
    for name, recipe in PRESETS.items():
        assert isinstance(recipe, Recipe) and get_preset(name) is recipe
        assert recipe.fitting(contextual=False) is recipe
        of_context = recipe.contextual or recipe
        ahead = bool(of_context.effort and of_context.can_prepack) or None
        assert recipe.fitting(contextual=True) == replace(of_context, prepacked=ahead)
        assert recipe.fitting(False, factorized=True) is (recipe.factorized or recipe)
    with pytest.raises(InputError, match="'turbo': choose paper, plain, fast, default, slow, best"):
        get_preset("turbo")


def test_a_preset_as_a_recipe_gives_the_same_codec(model: nn.Module) -> None:
    by_name, by_value = (
        latentopt.wrap(model, preset="slow"),
        latentopt.wrap(model, recipe=PRESETS["slow"]),
    )
    assert by_name.recipe == by_value.recipe
    assert by_name.identity == by_value.identity


def test_default_is_what_there_is_without_a_word(model: nn.Module) -> None:
    """And `plain`, which it was before, what there is with one of how points are chosen."""
    assert PRESETS["plain"] == Recipe()
    for words, meant in (
        ({}, PRESETS["default"]),
        ({"quant": "oct", "shift": True}, Recipe("oct", Secant())),
        ({"portable": False}, PRESETS["default"].but(portable=False)),
        ({"postfilter": False}, PRESETS["default"].but(postfilter=False)),
        ({"postfilter": True, "shift": False}, PRESETS["default"]),
        ({"scales": False, "lmbda": 0.5}, PRESETS["default"].but(scales=False)),
        ({"scales": True}, Recipe(scales=True)),
        ({"dither": 0}, Recipe().but(dither=0)),
        ({"preset": "plain"}, Recipe()),
        ({"recipe": Recipe()}, Recipe()),
    ):
        assert latentopt.wrap(model, **words).recipe.but(lmbda=1.0) == meant.but(lmbda=1.0)


def test_summaries() -> None:
    for name, preset in PRESETS.items():
        for kind in product((True, False), repeat=2):
            fitted = preset.fitting(*kind).but(lmbda=0.1, gop=3, portable=False)
            assert fitted.summary == f"preset {name}"
    assert Recipe("hex", direction="split", scales=True).summary == "hex+shift+split+scales"
    assert Recipe("int", None, pmf="paper").summary == "int+tables of the paper"
    assert PRESETS["slow"].but(quant="e8").summary == (
        "e8+shift+split+scales+adaptive+30 steps+postfilter"
    )


# -- changing one ----------------------------------------------------------------------------------


def test_but_ignores_none() -> None:
    nothing: dict[str, Any] = {
        field.name: None for field in fields(Recipe) if field.name not in ALTERNATIVES
    }
    for recipe in (Recipe(), *PRESETS.values()):
        assert recipe.but() == recipe.but(**nothing) == recipe


CHANGES: dict[str, Any] = {
    "quant": "e8",
    "direction": "sign",
    "scales": True,
    "effort": EFFORT,
    "lmbda": 0.5,
    "portable": False,
    "gop": 7,
    "ahead": Ahead(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_but_changes_one_value_and_leaves_the_recipe_alone(name: str) -> None:
    before = Recipe()
    words: dict[str, Any] = {name: CHANGES[name]}
    after = before.but(**words)
    assert getattr(after, name) == CHANGES[name] != getattr(before, name)
    assert replace(after, **{name: getattr(before, name)}) == before == Recipe()


def test_shifts_are_said_in_several_ways() -> None:
    own = Grid((0.5,))
    for said, meant in (
        (True, Secant()),
        (False, None),
        ("secant", Secant()),
        ("grid", Grid()),
        (own, own),
    ):
        assert Recipe().but(shift=said).shift == meant
    assert set(SEARCHES) == {"secant", "grid"}


def test_parts_become_a_tuple() -> None:
    recipe = Recipe().but(parts=["motion", "image"])
    assert recipe.parts == ("motion", "image") and hash(recipe.parts)


@pytest.mark.parametrize("name", ["fast", "default", "slow", "best"])
def test_but_reaches_what_is_meant_for_some_kinds_of_codecs(name: str) -> None:
    before = PRESETS[name]
    after = before.but(quant="int", shift="grid", lmbda=0.1)
    pairs = [(getattr(after, kind), getattr(before, kind)) for kind in ALTERNATIVES]
    for recipe, was in ((after, before), *pairs):
        assert recipe is not None and was is not None
        assert (recipe.quant, recipe.shift, recipe.lmbda) == ("int", Grid(), 0.1)
        assert recipe.effort == was.effort and recipe.scales == was.scales
    assert PRESETS[name] is before and before.contextual != after.contextual


@pytest.mark.parametrize(
    "words",
    [
        {"quant": "int"},
        {"quant": "e8", "dither": 3},
        {"quant": "e8", "context": True},
        {"quant": "e8", "pmf": "paper"},
        {"spread": 0.3},
        {"progressive": True},
        {"quant": "e8", "channel": "sample"},
    ],
)
def test_what_is_formed_ahead_is_vectors(words: Words) -> None:
    with pytest.raises(InputError):
        get_preset("plain").but(**{**words, "prepacked": True})


def test_vectors_are_formed_ahead_where_that_is_said_or_points_are_searched() -> None:
    of_context, other = (tiny(FAMILIES[name]) for name in ("mbt2018", "mbt2018-mean"))
    wrap = latentopt.wrap
    assert wrap(of_context, preset="default").settings.prepacked
    assert wrap(of_context, preset="slow", quant="e8").settings.prepacked
    assert not wrap(of_context, preset="default", quant="int").settings.prepacked
    assert not wrap(of_context, preset="default", prepacked=False).settings.prepacked
    assert not wrap(of_context, "e8").settings.prepacked
    assert wrap(of_context, "e8", prepacked=True).settings.prepacked
    assert wrap(of_context, preset="default").recipe.summary == "preset default"
    assert "preset" not in wrap(of_context, preset="default", prepacked=False).recipe.summary
    assert not wrap(other, preset="slow").settings.prepacked
    for words in ({"prepacked": True}, {"prepacked": True, "preset": "slow"}):
        with pytest.raises(InputError, match="for codecs with a context model of their own"):
            wrap(other, "e8", **words)
    for word in ("context", "progressive"):  # refused by the name that was said
        with pytest.raises(InputError, match=f"{word}=True.* context model of its own"):
            wrap(of_context, preset="default", **{word: True})  # type: ignore[call-overload]
    with pytest.raises(InputError, match="prepacked 3: it is True or False"):
        wrap(of_context, "e8", prepacked=3)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="prepacked=True is for vectors, and quant='int' has none"):
        wrap(of_context, preset="slow", prepacked=True)


def test_what_was_said_of_vectors_formed_ahead_stays_while_there_are_any() -> None:
    default, said = PRESETS["default"], Recipe("e8", prepacked=True)
    off = default.but(prepacked=False, quant="e8").but(quant="hex")
    assert not off.fitting(contextual=True).prepacks and off.summary != default.summary
    assert said.but(quant="d4").prepacked and said.but(pmf="exact", lmbda=1.0).prepacked
    for words in CHANGES_OF_POINTS:
        assert said.but(**words).prepacked is None
    assert default.but(prepacked=True).fitting(contextual=True) == default.fitting(contextual=True)
    slow = PRESETS["slow"].but(quant="auto", prepacked=True).fitting(contextual=True)
    assert slow.prepacked and slow.summary.endswith("+prepacked")


CHANGES_OF_POINTS: list[Words] = [
    {"quant": "int"},
    {"dither": 3},
    {"context": True},
    {"pmf": "paper"},
    {"spread": 0.3},
    {"progressive": True},
]


def test_what_a_codec_with_a_context_refuses_is_what_was_said() -> None:
    model = tiny(FAMILIES["mbt2018"])
    for word in ("context", "progressive"):
        with pytest.raises(InputError, match=f"{word}=True is for codecs that know all"):
            latentopt.wrap(model, **{"preset": "default", word: True})


def test_the_recipe_of_a_codec_with_a_context_is_one_for_others() -> None:
    recipe = latentopt.wrap(tiny(FAMILIES["mbt2018"]), preset="default").recipe
    for family in ("mbt2018-mean", "bmshj2018-factorized"):
        codec = latentopt.wrap(tiny(FAMILIES[family]), recipe=recipe)
        assert codec.recipe.prepacked is None and not codec.settings.prepacked
        with pytest.raises(InputError, match="for codecs with a context model of their own"):
            latentopt.wrap(tiny(FAMILIES[family]), recipe=recipe, prepacked=True)


def test_a_header_says_nothing_that_its_model_has_not() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018"]), "int")
    forged = replace(codec.identity, settings=replace(codec.settings, context=True))
    with pytest.raises(BitstreamError, match="no codec of this model writes such settings"):
        wrap_image(codec.model, Recipe.reading(forged.settings), reads=forged)


@pytest.mark.parametrize("name", ["fast", "default", "slow", "best"])
def test_another_lattice_is_without_the_context_that_is_for_integers(name: str) -> None:
    after = PRESETS[name].but(quant="hex")
    assert after.factorized is None and after.contextual and after.contextual.quant == "hex"
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), preset=name, quant="hex")
    assert codec.settings.quant == "hex" and not codec.settings.context


# -- what a header keeps ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slow", "best"])
def test_a_presets_own_lattice_said_once_more_keeps_its_context(name: str) -> None:
    preset = PRESETS[name]
    assert preset.but(quant=preset.quant).context and not preset.but(quant="hex").context
    assert preset.but(quant=preset.quant).summary == preset.summary
    assert preset.but(adaptive=False).summary != preset.summary


def test_settings_and_readings_are_inverse() -> None:
    flags = product((False, True), repeat=3)
    for three, quant, direction, pmf in product(flags, RULES, DIRECTIONS, PMFS):
        portable, scales, adaptive = three
        if pmf == "paper" and scales:
            continue
        settings = Settings(quant, pmf, direction, portable, scales, LATTICE, adaptive)
        reading = Recipe.reading(settings)
        assert reading.settings == settings
        assert reading.shift is reading.effort is None  # it writes plain streams


@pytest.mark.parametrize("name", PRESETS)
def test_a_reading_of_a_preset_decodes_its_streams(name: str) -> None:
    for recipe in (PRESETS[name], *PRESETS[name].alternatives.values()):
        assert Recipe.reading(recipe.settings).settings == recipe.settings


def test_what_is_for_some_kinds_of_codecs_agrees_with_the_rest() -> None:
    for kind, words in product(ALTERNATIVES, ({"portable": False}, {"gop": 3})):
        with pytest.raises(InputError, match=f"{kind}: its {next(iter(words))} must be that"):
            Recipe(**{kind: Recipe(**words)})
    for kind, other in product(ALTERNATIVES, repeat=2):
        with pytest.raises(InputError, match="has another in it"):
            Recipe(**{kind: Recipe(**{other: Recipe()})})


def test_presets_give_factorized_priors_a_context() -> None:
    for name in ("fast", "default", "slow", "best"):
        settings = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), preset=name).settings
        assert settings.context and settings.quant == "int"
        settings = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), preset=name).settings
        assert settings.context is (name in ("slow", "best")) and settings.quant == "auto"


def test_a_codec_takes_the_recipe_of_its_kind() -> None:
    model = tiny(FAMILIES["mbt2018"])
    model.lmbda = 0.5
    own = Recipe(contextual=Recipe("int", None, lmbda=0.01))
    assert latentopt.wrap(model, recipe=own).recipe.lmbda == 0.01
    assert latentopt.wrap(model).recipe.lmbda == 0.5


@pytest.mark.parametrize("words", [{"scales": "no"}, {"portable": 2}, {"scales": 3}])
def test_yes_or_no(words: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="it is True or False"):
        Recipe(**words)


def test_settings_that_no_encoder_writes_are_refused_on_reading() -> None:
    """Paper's tables with corrected scales: a byte that only a corrupt file has."""
    with pytest.raises(BitstreamError, match="none of this latentopt"):
        Recipe.reading(Settings.from_byte(0xC8))
