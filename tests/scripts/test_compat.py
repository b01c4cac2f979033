"""The count of streams that decode without latentopt."""

import compat
import pytest
from support.models import photo

from latentopt import zoo
from latentopt.adapters import with_step


def test_streams_of_the_zoo_decode_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    own, streams = zoo.load("tiny-mbt2018-mean", 1), compat.Streams()
    for name, model in (("q1", own), ("step 2", with_step(own, 2.0))):
        point = compat.Point("tiny-mbt2018-mean", name, model)
        compat.code_image(streams, point, photo(64, 96), "photo", ["fast"])
    found = streams.decoded()
    assert compat.report(streams, found) == 0
    said = capsys.readouterr().out
    assert "4 streams decoded without latentopt, 0 failures" in said
    assert compat.report(streams, ["it is corrupt", [found[1][0] + 1], *found[2:]]) == 2
