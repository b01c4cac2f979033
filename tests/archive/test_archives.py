"""Archives: files of any store, each coded once and told in a manifest, whatever is killed."""

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.commands import Refused, pixels, run
from support.dask import cluster
from support.folders import SIZES, photos, weights
from support.fresh import started
from support.models import photo

from latentopt.errors import InputError, MissingExtraError
from latentopt.media.images import png_bytes, write_png

fsspec = pytest.importorskip("fsspec", reason="needs the extra [cluster]")
pyarrow = pytest.importorskip("pyarrow", reason="needs the extra [cluster]")

from latentopt.archive import storage  # noqa: E402
from latentopt.archive.filing import sha256  # noqa: E402
from latentopt.archive.manifest import Manifest, Row  # noqa: E402

__all__ = ["cluster", "photos", "weights"]

CODED = {"a.lo", "sub/a.lo", "sub/deep/b.lo"}


@pytest.fixture
def model(weights: Path) -> list[str]:
    return ["--codec", "mbt2018-mean", "--weights", str(weights)]


@pytest.fixture
def with_broken(photos: Path) -> Path:
    """The same, and a file that is no image."""
    (photos / "sub/broken.png").write_text("no image")
    return photos


@pytest.fixture
def encode(photos: Path, tmp_path: Path, model: list[str]) -> list[object]:
    """The command that codes the photographs to an archive."""
    place = ["-o", tmp_path / "coded", "--manifest", tmp_path / "m.parquet"]
    return ["encode", photos, *place, *model]


@pytest.fixture
def memory() -> Iterator[str]:
    """A store that lies in this process."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield "memory://archive"
    store.store.clear()


def test_outputs_that_are_gone_or_changed_are_made_again(
    tmp_path: Path, encode: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the same manifest is given with another folder."""
    assert run(*encode) == 0
    whole = {name: (tmp_path / "coded" / name).read_bytes() for name in CODED}
    (tmp_path / "coded/a.lo").unlink()
    (tmp_path / "coded/sub/a.lo").write_bytes(b"x")
    capsys.readouterr()
    assert run(*encode) == 0
    assert "2 files coded, 1 done before, 0 failed" in capsys.readouterr().out
    assert all((tmp_path / "coded" / name).read_bytes() == data for name, data in whole.items())
    assert run(*encode, "-o", tmp_path / "other") == 0
    assert all((tmp_path / "other" / name).is_file() for name in CODED)


def test_what_is_no_file_or_has_no_name_stops_nothing(
    photos: Path, tmp_path: Path, encode: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "endless.png").symlink_to("/dev/zero")
    os.mkfifo(photos / "pipe.png")
    write_png(photos / "ok.png", photo(40, 40))
    os.rename(photos / "ok.png", os.fsencode(photos) + b"/\xff.png")
    assert run(*encode) == 1
    said = capsys.readouterr()
    assert said.err.count("it is no regular file") == 2
    assert good(tmp_path / "m.parquet").keys() == {*SIZES, "\\udcff.png"}


def test_an_output_is_not_anothers(photos: Path, tmp_path: Path, encode: list[object]) -> None:
    """What was coded before stays, and the newcomer is named."""
    assert run(*encode) == 0
    before = (tmp_path / "coded/a.lo").read_bytes()
    write_png(photos / "x.png", photo(20, 20))
    (photos / "x.png").rename(photos / "a.PNG")
    assert run(*encode) == 1
    assert (tmp_path / "coded/a.lo").read_bytes() == before
    errors = [row.error for row in rows_of(tmp_path / "m.parquet").values()]
    assert any("another input becomes a.lo" in error for error in errors)


def test_an_output_is_not_that_of_another_folder(
    photos: Path, tmp_path: Path, encode: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of the same names, in a second run; a folder that was moved is none."""
    assert run(*encode) == 0
    before = (tmp_path / "coded/a.lo").read_bytes()
    (tmp_path / "others").mkdir()
    write_png(tmp_path / "others/a.png", photo(20, 20))
    others = [tmp_path / "others" if word == photos else word for word in encode]
    capsys.readouterr()
    assert run(*others) == 1
    out, err = capsys.readouterr()
    assert out.startswith("0 files coded, 1 failed: ")
    assert err.startswith(f"latentopt: file://{tmp_path}/others/a.png: another input becomes a.lo")
    assert (tmp_path / "coded/a.lo").read_bytes() == before
    seen = (photos / "a.png").stat()
    size = (tmp_path / "others/a.png").stat().st_size
    (tmp_path / "others/a.png").write_bytes((photos / "a.png").read_bytes())
    assert size != seen.st_size
    os.utime(tmp_path / "others/a.png", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert run(*others) == 1, "neither is one of the same size and time"
    (tmp_path / "link").symlink_to(photos)
    capsys.readouterr()
    assert run(*(tmp_path / "link" if word == photos else word for word in encode)) == 0
    assert "0 files coded, 3 done before" in capsys.readouterr().out, "a link to it is no other"
    moved = [tmp_path / "moved" if word == photos else word for word in encode]
    photos.rename(tmp_path / "moved")
    capsys.readouterr()
    assert run(*moved) == 0
    assert "0 files coded, 3 done before" in capsys.readouterr().out
    write_png(tmp_path / "moved/a.png", photo(20, 20))
    assert run(*moved) == 0
    assert "1 file coded, 2 done before" in capsys.readouterr().out
    assert (tmp_path / "coded/a.lo").read_bytes() != before


def test_another_folder_is_no_moved_one(
    tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the first is gone, and files are of the same names, bytes and times."""
    for name, size in (("first", (40, 60)), ("second", (60, 40))):
        (tmp_path / name).mkdir()
        Image.new("RGB", size).save(tmp_path / name / "a.bmp")
        os.utime(tmp_path / name / "a.bmp", (0, 0))
    place = ["-o", tmp_path / "coded", "--manifest", tmp_path / "m.parquet", *model]
    assert run("encode", tmp_path / "first", *place) == 0
    (tmp_path / "first").rename(tmp_path / "moved")
    capsys.readouterr()
    assert run("encode", tmp_path / "moved", *place) == 0
    assert "0 files coded, 1 done before" in capsys.readouterr().out
    before = (tmp_path / "coded/a.lo").read_bytes()
    assert run("encode", tmp_path / "second", *place) == 0
    assert capsys.readouterr().out.startswith("1 file coded, 0 failed, 1 replaced: ")
    assert (tmp_path / "coded/a.lo").read_bytes() != before


def test_a_source_that_is_named_twice_is_coded_once(
    photos: Path, tmp_path: Path, encode: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("encode", photos, *encode[1:]) == 0
    assert capsys.readouterr().out.startswith("3 files coded, 0 failed: ")


def test_an_output_is_no_input(
    tmp_path: Path, encode: list[object], model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever folder is named for it, a link to the inputs', too."""
    assert run(*encode) == 0
    folder, link = tmp_path / "coded", tmp_path / "link"
    link.symlink_to(folder)
    write_png(folder / "a.png", photo(20, 20))
    before = (folder / "a.png").read_bytes()
    capsys.readouterr()
    argv = ["decode", f"{folder}/*", "-o", link, "--manifest", tmp_path / "d.parquet", *model]
    assert run(*argv) == 1
    assert (folder / "a.png").read_bytes() == before
    assert "/a.lo: its output a.png would replace an input" in capsys.readouterr().err


def test_what_is_replaced_is_counted(
    tmp_path: Path, encode: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that no run of this manifest wrote; of those that one did, nothing is said."""
    (tmp_path / "coded").mkdir()
    (tmp_path / "coded/a.lo").write_bytes(b"somebody's")
    assert run(*encode) == 0
    assert capsys.readouterr().out.startswith("3 files coded, 0 failed, 1 replaced: ")
    assert run(*encode, "--quant", "int") == 0
    assert capsys.readouterr().out.startswith("3 files coded, 0 failed: ")


def test_originals_that_decoding_replaces_are_counted(
    photos: Path,
    tmp_path: Path,
    encode: list[object],
    model: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder of photographs and what they became, as without a manifest."""
    assert run(*encode, "-o", photos) == 0
    capsys.readouterr()
    assert run("decode", photos, "-o", photos, "--manifest", tmp_path / "d", *model) == 0
    assert capsys.readouterr().out.startswith("3 files coded, 0 failed, 2 replaced: ")


def test_of_a_damaged_file_no_part_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "x.png", photo(50, 70))
    coded, decoded = tmp_path / "x.lo", tmp_path / "decoded"
    assert run("encode", tmp_path / "x.png", "--progressive", "--quant", "int") == 0
    coded.write_bytes(coded.read_bytes()[:-3])
    capsys.readouterr()
    assert run("decode", coded, "-o", decoded, "--manifest", tmp_path / "m.parquet") == 1
    assert "ends early; decoded from the" in capsys.readouterr().err
    assert not (decoded / "x.png").exists()


def rows_of(url: object) -> dict[str, Row]:
    found = list(Manifest(str(url)).rows())
    rows = {row.path: row for row in found}
    assert len(rows) == len(found)
    return rows


def good(url: object) -> dict[str, Row]:
    return {path: row for path, row in rows_of(url).items() if not row.error}


# -- coding ----------------------------------------------------------------------------------------


def test_an_object_store_and_back(
    with_broken: Path, memory: str, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Outputs mirror the inputs, the manifest tells of each, and one broken file stops nothing."""
    coded, decoded = f"{memory}/coded", f"{memory}/decoded"
    assert run("encode", with_broken, "-o", coded, *model) == 1
    out, err = capsys.readouterr()
    assert out == f"3 files coded, 1 failed: {coded}\n"
    assert (
        err.startswith("latentopt: sub/broken.png: not a readable image") and err.count("\n") == 1
    )
    rows = rows_of(f"{coded}/manifest.parquet")
    assert set(rows) == {*SIZES, "sub/broken.png"} and storage.names(f"{coded}/") != []
    assert {row.output for row in good(f"{coded}/manifest.parquet").values()} == CODED
    for path, (height, width) in SIZES.items():
        row, content = rows[path], storage.read(f"{coded}/{rows[path].output}")
        assert (row.width, row.height, row.bytes) == (width, height, len(content))
        assert row.bpp == 8 * len(content) / (width * height) and 5 < row.psnr_db < 60
        assert (
            row.hash == sha256(content)
            and row.image == sha256((with_broken / path).read_bytes())[:12]
        )
        assert (row.codec, row.engine) == ("mbt2018-mean tiny.pt", "local")
    assert run("encode", with_broken / "a.png", "-o", with_broken / "a.lo", *model) == 0
    assert (with_broken / "a.lo").read_bytes() == storage.read(f"{coded}/a.lo")

    assert run("decode", coded, "-o", decoded, *model) == 0
    own = good(f"{decoded}/manifest.parquet")
    assert {row.output for row in own.values()} == {"a.png", "sub/a.png", "sub/deep/b.png"}
    assert own["a.lo"].pixels == rows["a.png"].pixels  # what the encoder promised
    assert run("verify", f"{decoded}/manifest.parquet") == 0
    capsys.readouterr()
    assert run("verify", f"{coded}/manifest.parquet", *model) == 0
    assert capsys.readouterr().out.startswith("3 of 3 outputs are what memory://archive/coded/")


def test_only_what_is_missing_is_coded_again(
    with_broken: Path, tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", with_broken, "-o", tmp_path / "coded", "--manifest", tmp_path / "m.parquet"]
    assert run(*argv, *model) == 1
    first = rows_of(tmp_path / "m.parquet")
    write_png(with_broken / "sub/broken.png", photo(40, 40))  # mended
    write_png(with_broken / "a.png", photo(51, 70))  # another image
    assert run(*argv, *model) == 0
    assert capsys.readouterr().out.endswith(f"2 files coded, 2 done before, 0 failed: {argv[3]}\n")
    second = rows_of(tmp_path / "m.parquet")
    assert {path for path in second if second[path] != first[path]} == {"a.png", "sub/broken.png"}
    assert run(*argv, *model, "--quant", "int") == 0  # other settings: all of them
    assert capsys.readouterr().out == f"4 files coded, 0 failed: {argv[3]}\n"
    assert [p.name for p in tmp_path.glob("m.parquet*")] == ["m.parquet"]


def test_two_inputs_of_one_output(with_broken: Path, tmp_path: Path, model: list[str]) -> None:
    (with_broken / "a.bmp").write_bytes(b"a twin")
    assert (
        run("encode", with_broken, "-o", tmp_path / "c", "--manifest", tmp_path / "m", *model) == 1
    )
    errors = [row.error for row in rows_of(tmp_path / "m").values() if "becomes a.lo" in row.error]
    assert errors == ["another input becomes a.lo, too: rename one"]


def killed(rows: int, argv: list[str]) -> None:
    """A command that is killed, not asked to end, with so many rows and before the next."""
    add, kept = Manifest.add, list[Row]()

    def add_or_die(manifest: Manifest, row: Row) -> None:
        if len(kept) == rows:
            os.kill(os.getpid(), signal.SIGKILL)
        kept.append(row)
        add(manifest, row)
        manifest._flush()

    Manifest.add = add_or_die  # type: ignore[method-assign]  # of a process that ends soon
    run(*argv)


def test_a_client_that_is_killed_goes_on(tmp_path: Path, model: list[str]) -> None:
    for i in range(12):
        (tmp_path / "photos").mkdir(exist_ok=True)
        write_png(tmp_path / f"photos/{i}.png", photo(64, 64, seed=i))
    folder, manifest = tmp_path / "coded", tmp_path / "coded/manifest.parquet"
    argv = ["encode", str(tmp_path / "photos"), "-o", str(folder), "--manifest", str(manifest)]
    argv += [*model, "--preset", "slow"]
    client = started(killed, 5, argv)
    client.join()
    before = rows_of(manifest)
    assert client.exitcode == -signal.SIGKILL and len(before) == 5 and not manifest.exists()
    assert run(*argv) == 0
    after = rows_of(manifest)
    assert len(after) == 12 and before.items() <= after.items()
    assert not Path(f"{manifest}.parts").exists()
    assert {path.stem for path in folder.glob("*.lo")} == {str(i) for i in range(12)}


# -- what is refused -------------------------------------------------------------------------------


def test_what_is_no_archive(
    photos: Path, tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Refused(tmp_path, capsys)
    encode = ["encode", *model, photos]
    refused("needs a folder or URL", *encode, "--manifest", tmp_path / "m")
    refused("--json is for files without", *encode, "-o", "memory://x", "--json")
    refused("memory://x: no other process sees it", *encode, "-o", "memory://x", "--jobs", 2)
    refused("no such file or folder", "encode", *model, photos / "no", "-o", "memory://x")
    refused("Protocol not known: nowhere", *encode, "-o", "nowhere://x")
    into = f"cannot write to {photos}/a.png: it is no folder"
    refused(into, *encode, "-o", photos / "a.png", "--manifest", tmp_path / "m")
    (tmp_path / "empty").mkdir()
    new = ["-o", tmp_path / "new", "--manifest", tmp_path / "m"]
    for nothing in (tmp_path / "empty", f"{photos}/*.tiff"):
        refused("no image there", *encode, nothing, *new)
    refused("no image there", "decode", tmp_path / "empty", *new)
    refused("photos: is a folder; name a file", *encode, "-o", tmp_path, "--manifest", photos)
    refused("codes clips, and archives are of images", "encode", "x.y4m", "-o", "memory://x")
    refused("no such manifest", "verify", tmp_path / "m.parquet")
    (tmp_path / "m.parquet").write_bytes(b"no Parquet")
    refused("is no manifest of this version", "verify", tmp_path / "m.parquet")
    refused("'0' is not a number of files", "verify", "m", "--sample", "0")


def test_no_other_file_becomes_the_manifest(
    photos: Path, tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does advice tell anybody to delete one."""
    refused = Refused(tmp_path, capsys)
    encode = ["encode", *model, photos, "-o", tmp_path / "coded", "--manifest"]
    for name in ("coded/a.lo", "m.LO", photos / "new.png", photos / "a.png"):
        refused("inputs or outputs are called so", *encode, tmp_path / name)
    refused("called so", "decode", tmp_path, "-o", tmp_path / "d", "--manifest", tmp_path / "m.png")
    for content in (b"", b"precious", b"PAR1 precious PAR1"):
        (tmp_path / "notes").write_bytes(content)
        told = "is no manifest of this version, or damaged .*: name another, which begins anew, or"
        refused(told, *encode, tmp_path / "notes")


def test_a_store_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match=r"gs://bucket: .*gcsfs"):
        storage.read("gs://bucket")


# -- verifying -------------------------------------------------------------------------------------


def test_what_is_not_as_it_was_is_named(
    with_broken: Path, tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, manifest = tmp_path / "coded", tmp_path / "coded/m.parquet"
    assert run("encode", with_broken, "-o", folder, "--manifest", manifest, *model) == 1
    (folder / "sub/a.lo").unlink()
    content = bytearray((folder / "a.lo").read_bytes())
    content[-1] ^= 1
    (folder / "a.lo").write_bytes(content)
    with Manifest(str(manifest)) as told:
        told.add(replace(rows_of(manifest)["sub/deep/b.PNG"], pixels="0" * 16))
    capsys.readouterr()
    assert run("verify", manifest, *model) == 1
    out, err = capsys.readouterr()
    assert out == f"0 of 3 outputs are what {manifest} says\n"
    assert sorted(line.split(": ", 1)[1] for line in err.splitlines()) == [
        "a.lo: is not the file that was written: its SHA-256 differs",
        f"cannot read {folder}/sub/a.lo: No such file or directory",
        "sub/deep/b.lo: decodes to other pixels than where it was coded",
    ]
    assert run("verify", manifest, *model, "--sample", 2) == 1
    assert capsys.readouterr().out == f"0 of 2 outputs are what {manifest} says\n"


# -- manifests -------------------------------------------------------------------------------------


def row(path: str, **more: object) -> Row:
    known = Row(path, "x", "1", codec="c", weights="w", config="", version="0")
    return replace(known, **more)


class Killed(BaseException):
    """Nothing is done after it."""


@pytest.mark.parametrize("url", ["memory://killed/m.parquet", "file"])
def test_a_kill_anywhere_loses_and_doubles_nothing(
    url: str, tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write and each removal in turn is the last thing that happens."""
    patch = monkeypatch.setattr
    patch("latentopt.archive.manifest._MOST_PARTS", 4)
    patch("latentopt.archive.manifest._SHARE", 0)
    death = Death()
    for name in ("write", "writing", "remove"):
        patch(storage, name, death.before(getattr(storage, name)))
    for survives in range(40):
        place = f"{tmp_path}/{survives}/m.parquet" if url == "file" else f"{url}{survives}"
        death.comes_after = 1000
        with Manifest(place) as manifest:
            for i in range(3):
                manifest.add(row(f"{i}"))
        death.comes_after = survives
        told, begun = written_until_death(place)
        found = rows_of(place)
        assert {"0", "1", "2", *told} <= set(found) <= {"0", "1", "2", *begun}
        earlier = {path for path in found if not found[path].bytes}
        assert earlier - {"2"} == {"0", "1"} and not ("2" in earlier and told)
        if death.comes_after >= 0:
            return
    raise AssertionError("never came to an end")


class Death:
    """Lets so many calls happen, and none after."""

    comes_after = 0

    def before(self, work: Callable[..., object]) -> Callable[..., object]:
        def some(*args: object) -> object:
            self.comes_after -= 1
            if self.comes_after < 0:
                raise Killed
            return work(*args)

        return some


def written_until_death(place: str) -> tuple[list[str], list[str]]:
    """Paths of rows that were kept, and of those that came to be kept."""
    told, begun = list[str](), list[str]()
    manifest = Manifest(place)
    try:
        with manifest:
            for i in range(2, 12):
                begun.append(f"{i}")
                manifest.add(row(f"{i}", bytes=1))
                told.append(f"{i}")
    except Killed:
        manifest._open.close()
    return told, begun


def test_a_damaged_manifest_is_named_before_anything_is_coded(
    photos: Path, tmp_path: Path, encode: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "m.parquet"
    with Manifest(str(place)) as manifest:
        manifest.add(row("a.png"))
    content = bytearray(place.read_bytes())
    content[content.index(b"a.png")] ^= 1
    place.write_bytes(content)
    Refused(tmp_path, capsys)(f"{place}: is no manifest of this version, or damaged", *encode)


@pytest.mark.parametrize(
    ("column", "value"), [("path", None), ("width", "wide"), ("bpp", None), ("output", b"\xff")]
)
def test_what_is_no_row_is_refused(tmp_path: Path, column: str, value: object) -> None:
    values = {**vars(row("a")), column: value}
    table = pyarrow.table({name: [known] for name, known in values.items()})
    pyarrow.parquet.write_table(table, tmp_path / "m")
    with pytest.raises(InputError, match="m: is no manifest of this version, or damaged"):
        rows_of(tmp_path / "m")


def test_no_changed_byte_changes_a_row(tmp_path: Path) -> None:
    place, draw = tmp_path / "m", random.Random(0)
    with Manifest(str(place)) as manifest:
        for i in range(3):
            manifest.add(row(f"{i}", bpp=i / 3, width=i))
    content, whole = place.read_bytes(), rows_of(place)
    for _ in range(300):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        place.write_bytes(changed)
        try:
            assert rows_of(place) == whole
        except InputError as error:
            assert str(error).startswith(f"{place}: is no manifest")


def test_one_client_writes_a_manifest(tmp_path: Path) -> None:
    with (
        Manifest(f"{tmp_path}/m"),
        pytest.raises(InputError, match=r"m is being written by another process.*--manifest"),
        Manifest(f"{tmp_path}/m"),
    ):
        pass


def test_many_rows_are_few_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentopt.archive.manifest._SHARE", 0)
    monkeypatch.setattr("latentopt.archive.manifest._MOST_PARTS", 8)
    place = tmp_path / "m.parquet"
    with Manifest(str(place)) as manifest:
        for i in range(20):
            manifest.add(row(f"{i}"))
        assert len(list(Path(f"{place}.parts").glob("*.parquet"))) == 2 + 20 % 8
    assert len(rows_of(place)) == 20


# -- S3 --------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a server on this machine."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    moto = pytest.importorskip("moto.server", reason="needs moto[s3], flask and flask-cors")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("photos")
    yield "s3://photos"
    server.stop()


def test_s3(
    bucket: str, tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        storage.write(f"{bucket}/in/{i}/x.png", png_bytes(photo(40, 50, seed=i)))
    storage.write(f"{bucket}/in/2/y.png", b"no image")
    argv = ["encode", f"{bucket}/in", "-o", f"{bucket}/out", *model]
    assert run(*argv) == 1
    manifest = f"{bucket}/out/manifest.parquet"
    rows = rows_of(manifest)
    assert {p for p, r in rows.items() if r.error} == {"2/y.png"} and len(rows) == 4
    assert storage.names(f"{bucket}/out") == ["0", "1", "2", "manifest.parquet"]
    capsys.readouterr()
    assert run(*argv) == 1  # of which only the failure is tried again
    assert capsys.readouterr().out == f"0 files coded, 3 done before, 1 failed: {bucket}/out\n"
    assert run("verify", manifest, *model) == 0
    assert run("decode", f"{bucket}/out/*/x.lo", "-o", tmp_path / "decoded", *model) == 0
    assert pixels(tmp_path / "decoded/1/x.png").shape == (3, 40, 50)


def test_s3_without_credentials(
    tmp_path: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("s3fs", reason="needs s3fs")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    refused = Refused(tmp_path, capsys)
    refused("s3://b/in: .*Unable to locate cred", "encode", "s3://b/in", "-o", tmp_path / "coded")
    refused("s3://b/out.*: .*Unable to locate cred", "encode", photos, "-o", "s3://b/out")
    refused("s3://b/m.*: .*Unable to locate cred", "verify", "s3://b/m")


# -- last, as the cluster runs until the module ends -----------------------------------------------


def test_a_cluster_makes_the_same_archive(
    with_broken: Path, tmp_path: Path, model: list[str], cluster: str
) -> None:
    argv = ["encode", with_broken, *model]
    assert run(*argv, "-o", tmp_path / "alone", "--manifest", tmp_path / "alone/m.parquet") == 1
    there = ["--engine", "dask", "--scheduler", cluster]
    assert run(*argv, "-o", tmp_path / "there", *there) == 1
    alone, other = (good(tmp_path / p) for p in ("alone/m.parquet", "there/manifest.parquet"))
    same = {"seconds": 0.0, "engine": ""}
    assert {p: replace(row, **same) for p, row in other.items()} == {
        p: replace(row, **same) for p, row in alone.items()
    }
    assert {row.engine for row in other.values()} == {"dask:2"}
    for row in alone.values():
        assert (tmp_path / "there" / row.output).read_bytes() == (
            tmp_path / "alone" / row.output
        ).read_bytes()
