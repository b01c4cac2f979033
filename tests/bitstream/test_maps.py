"""Files in maps: any of their beginnings that ends with a map is a file, damage has a number."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentopt import BitstreamError, Container
from latentopt.bitstream import Settings
from latentopt.bitstream.fields import pack_fields, unpack_fields
from latentopt.bitstream.maps import LEAD, join_maps, pack_maps, split_maps, unpack_maps
from latentopt.errors import MapError

PLAIN = Settings("hex", "exact", "density", True)
MAPS = (b"first", b"", b"third" * 60, b"\x00last\x00")


def container(maps: tuple[bytes, ...] = MAPS, others: tuple[bytes, ...] = (b"side",)) -> Container:
    settings = replace(PLAIN, progressive=True)
    strings = (LEAD + join_maps(maps), *others)
    return Container(settings, 300, 200, b"WWWW", b"TTTT", strings)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_maps_join_and_split(maps: list[bytes]) -> None:
    assert split_maps(join_maps(maps)) == maps
    packed = pack_maps(b"head", b"others", maps)
    found = unpack_maps(packed, 4)
    assert found.maps == tuple(maps) and found.others == b"others" and found.damage is None


@pytest.mark.parametrize("others", [(), (b"side",), (b"side", b"deeper")])
def test_every_beginning_is_a_file(others: tuple[bytes, ...]) -> None:
    whole = container(others=others)
    data = whole.to_bytes()
    assert data[3] == 2 and Container.from_bytes(data, 1 + len(others)) == whole
    assert Container.from_bytes(data).to_bytes() == data  # whoever knows no codec, too
    assert whole.cut_bytes == [len(whole.cut(k).to_bytes()) for k in range(len(MAPS) + 1)]
    for count in range(len(MAPS) + 2):
        cut = whole.cut(count).to_bytes()
        assert data.startswith(cut) and (count < len(MAPS)) == (cut != data)
        assert Container.from_bytes(cut, 1 + len(others)) == container(MAPS[:count], others)


def test_a_file_that_ends_within_a_map_has_those_before() -> None:
    whole = container()
    data, ends = whole.to_bytes(), [len(whole.cut(n).to_bytes()) for n in range(len(MAPS) + 1)]
    for length in range(ends[0], len(data)):
        found = Container.from_bytes(data[:length], 2)
        count = sum(end <= length for end in ends) - 1
        assert found.maps == MAPS[:count] and found.cut(count) == whole.cut(count)
        assert (found.damage is None) == (length in ends)
        if found.damage:
            assert found.damage.maps == count
            assert str(found.damage).startswith(f"map {count + 1} ends early; maps={count} ")


def test_any_changed_byte_is_seen_where_it_is() -> None:
    whole = container()
    data, ends = whole.to_bytes(), [len(whole.cut(n).to_bytes()) for n in range(len(MAPS) + 1)]
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x11
        if place < ends[0]:
            with pytest.raises(BitstreamError):
                Container.from_bytes(bytes(changed), 2)
            continue
        found, before = Container.from_bytes(bytes(changed), 2), sum(end <= place for end in ends)
        assert found.damage is not None and found.damage.maps == before - 1
        assert found.maps == MAPS[: before - 1]


def test_maps_are_in_their_order() -> None:
    data, first = container().to_bytes(), len(container(()).to_bytes())
    one, two = container(MAPS[:1]).to_bytes()[first:], container(MAPS[:2]).to_bytes()[first:]
    swapped = data[:first] + two[len(one) :] + one
    assert Container.from_bytes(swapped, 2).damage is not None


def test_other_files_have_no_maps() -> None:
    plain = Container(PLAIN, 3, 2, b"WWWW", b"TTTT", (b"main", b"side"))
    for wrong in (lambda: plain.maps, lambda: plain.cut(1)):
        with pytest.raises(BitstreamError, match="this file is in one piece"):
            wrong()
    with pytest.raises(BitstreamError, match="strings of other latents"):
        Container.from_bytes(container().to_bytes(), 1)


def test_videos_know_no_maps() -> None:
    parts = [replace(PLAIN, progressive=True)]
    with pytest.raises(BitstreamError, match=r"field 133 is unknown"):
        unpack_fields(pack_fields(parts), 2, [PLAIN])


def test_errors_pickle() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(MapError("map 3 is corrupt", 2)))
    assert (error.maps, error.what) == (2, "map 3 is corrupt")
