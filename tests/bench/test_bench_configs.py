"""Names of configurations, and the recipes that they stand for."""

import pytest
import torch

from latentopt.bench import items
from latentopt.bench.configs import Configuration, parse, parse_all, parse_recipe
from latentopt.bench.items import Clips, Images
from latentopt.codec.recipe import NATIVE_PRESETS, PRESETS, Recipe
from latentopt.encoder import Ahead, Secant
from latentopt.encoder.search import Grid
from latentopt.errors import InputError


def test_configuration_names_round_trip() -> None:
    names = ["baseline", "int", "e8", "shift", "hex+shift", "oct+shift+grid", "oct+shift+sign"]
    names += ["shift+grid", "hex+paper", "shift+paper", "oct+shift+grid+sign+paper"]
    names += ["auto", "oct+scales", "auto+shift+split+scales+rdo", "e8+scales+refine", *PRESETS]
    assert [parse(name).name for name in names] == names
    assert parse("int+shift") == parse("shift") == Configuration("shift", Recipe("int", Secant()))
    assert parse("slow") == Configuration("slow", PRESETS["slow"])
    assert parse("baseline") == Configuration("baseline", None)
    assert [c.name for c in parse_all(["shift", "int+shift", "OCT"])] == ["shift", "oct"]


def test_compat_is_a_preset_of_the_models_own_format() -> None:
    assert parse("compat").name == parse("compat:default").name == "compat"
    for name, preset in NATIVE_PRESETS.items():
        made = parse(f"COMPAT:{name}")
        assert made.recipe == preset and parse(made.name) == made
    with pytest.raises(InputError, match="'paper'"):
        parse("compat:paper")


def test_a_configuration_has_a_name_of_its_own() -> None:
    plain = [parse(f"int+{option}") for option in ("shift", "scales", "paper")]
    assert [configuration.name for configuration in plain] == ["shift", "scales", "int+paper"]
    assert [parse(configuration.name) for configuration in plain] == plain
    assert len({configuration.recipe for configuration in plain}) == 3
    assert parse("paper").recipe == PRESETS["paper"]


@pytest.mark.parametrize(
    "name",
    [
        *("", "+", "octo", "oct+oct", "oct+grid", "oct+split", "baseline+shift", "fast+shift"),
        *("oct+shift+shift", "oct+shift+sign+split", "oct+rdo+refine"),
    ],
)
def test_unknown_configurations(name: str) -> None:
    with pytest.raises(InputError, match="configuration"):
        parse(name)
    with pytest.raises(InputError, match="no configuration"):
        parse_all([])


def test_names_say_what_recipes_hold() -> None:
    expected = {
        "oct": Recipe("oct", None),
        "shift": Recipe("int", Secant()),
        "hex+shift+grid": Recipe("hex", Grid()),
        "d4+shift+sign": Recipe("d4", Secant(), "sign"),
        "int+paper": Recipe("int", None, pmf="paper"),
        "auto+shift+split+scales": Recipe("auto", Secant(), "split", scales=True),
    }
    assert {name: parse(name).recipe for name in expected} == expected
    rdo, refine = (parse_recipe(name) for name in ("e8+rdo", "e8+refine"))
    assert rdo.effort and refine.effort
    assert rdo.effort.schedule.steps == 0 < refine.effort.schedule.steps
    for recipe in (rdo, refine):
        assert recipe == Recipe("e8", None, effort=recipe.effort)
    with pytest.raises(InputError, match="'baseline': this is the model's own coder"):
        parse_recipe("baseline")
    with pytest.raises(InputError, match="pmf='paper' excludes"):
        parse("oct+rdo+paper")


def test_recipes_reach_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Recipe] = []
    for name in ("wrap_image", "wrap_video"):
        monkeypatch.setattr(items, name, lambda model, recipe: given.append(recipe))
    clips = Clips(parts=("motion",), ahead=True)
    for medium, name in ((Images(), "oct+shift"), (Images(), "fast"), (clips, "fast")):
        medium.coder(parse(name), torch.nn.Identity())
    fast = PRESETS["fast"]
    extended = fast.but(parts=["motion"], ahead=Ahead())
    assert given == [Recipe("oct", Secant()), fast, extended] and extended != fast
