"""What is missing is found, what is damaged is set aside, and other settings are refused."""

import itertools
import json
import re
import threading
import time

import pytest

from rft_jax.errors import UserError
from rft_jax.records import checksum, manifest
from rft_jax.records.lines import dump
from rft_jax.records.path import Path, read_paths
from rft_jax.records.shard import Shard
from rft_jax.sample.sharing import terms
from rft_jax.sample.sharing.ledger import Ledger

SETTINGS = {"model": "abc", "temperature": 0.7, "end_tokens": (2,)}


def numbers(shard):
    return list(itertools.product(range(*shard.problems), range(*shard.samples)))


def open_ledger(folder, problems=70, k=60, **changes):
    return Ledger(folder, SETTINGS | changes, problems=problems, k=k)


def paths(of):
    return [Path(problem, sample, "m", f"{problem}/{sample}", 3, "eos") for problem, sample in of]


def missing(book):
    """Returns problem and sample of what is to be made, tile by tile."""
    return [book.ask(tile).start() for tile in book.tiles]


def fill(book, tiles=None):
    for tile in missing(book) if tiles is None else tiles:
        book.write(paths(tile))


def sampled(folder):
    found = [path for file in sorted(folder.glob("*.jsonl")) for path in read_paths(file)]
    assert len({(path.problem, path.sample) for path in found}) == len(found)
    return {(path.problem, path.sample) for path in found}


def everything(problems, k):
    return {(problem, sample) for problem in range(problems) for sample in range(k)}


def test_done_once_is_done(tmp_path):
    fill(open_ledger(tmp_path))
    assert sampled(tmp_path) == everything(70, 60)
    again = open_ledger(tmp_path)
    assert (missing(again), again.done, again.wanted) == ([], 4200, 4200)
    assert not again.tiles


@pytest.mark.parametrize("steps", [(1, 60), (8, 16, 60), (49, 50, 51, 130), (60, 20)], ids=str)
def test_a_larger_k_adds(tmp_path, steps):
    for k in steps:
        before = {file: file.read_bytes() for file in tmp_path.glob("*.jsonl")}
        fill(open_ledger(tmp_path, k=k))
        assert all(file.read_bytes() == content for file, content in before.items())
    assert sampled(tmp_path) == everything(70, max(steps))
    fill(open_ledger(tmp_path, k=200))
    assert sampled(tmp_path) == everything(70, 200)


def test_tiles_come_in_order_and_are_the_unit(tmp_path):
    book = open_ledger(tmp_path)
    names = list(book.tiles)
    assert names[:3] == ["00000-00007.000-049", "00000-00007.050-099", "00008-00015.000-049"]
    assert names[-1] == "00064-00069.050-099"
    assert [Shard.of(tile).name for tile in missing(book)][:2] == [
        "00000-00007.000-049.jsonl",
        "00000-00007.050-059.jsonl",
    ]
    # Shards of other shapes: what is missing around them is made tile by tile.
    for shard in (
        Shard((0, 5), (0, 3)),
        Shard((4, 12), (10, 55)),
        Shard((66, 70), (0, 60)),
    ):
        book.write(paths(numbers(shard)))
    fill(open_ledger(tmp_path))
    assert sampled(tmp_path) == everything(70, 60)


def test_work_of_others_is_noticed(tmp_path):
    one, other = open_ledger(tmp_path), open_ledger(tmp_path)
    first, *rest = missing(one)
    other.write(paths(first))
    assert Shard.of(first).stem in one.tiles
    assert Shard.of(first).stem not in one.look()
    assert missing(one) == rest
    assert one.done == len(first)
    fill(other, rest)
    assert not one.look()


def test_all_commands_in_a_folder_have_the_same_tiles(tmp_path):
    """Whatever k they have, as two workers must not make shards that overlap."""
    few = open_ledger(tmp_path, k=4)
    many = open_ledger(tmp_path, k=100)
    assert list(few.tiles) == [name for name in many.tiles if name.endswith(".000-049")]
    assert Shard.of(missing(few)[0]) == Shard((0, 32), (0, 4))
    fill(few)
    many.look()
    fill(many)
    assert sampled(tmp_path) == everything(70, 100)


def test_two_settings_at_the_same_moment(tmp_path, monkeypatch):
    """Exactly one command makes the manifest; the other one is refused, though it had seen none."""
    open_ledger(tmp_path)
    content = (tmp_path / manifest.NAME).read_bytes()
    monkeypatch.setattr(terms.Path, "exists", lambda self: False)
    with pytest.raises(UserError, match=r"temperature was 0\.7, now 1\.0"):
        open_ledger(tmp_path, temperature=1.0)
    open_ledger(tmp_path)
    assert (tmp_path / manifest.NAME).read_bytes() == content
    assert not [*tmp_path.glob(".*")]


def test_another_version_or_device_goes_on_in_the_folder(tmp_path):
    here = {"problems": 70, "k": 100}
    Ledger(tmp_path, SETTINGS, made_by=lambda: {"commit": "a"}, **here)
    before = (tmp_path / manifest.NAME).read_bytes()
    assert json.loads(before)["made_by"] == {"commit": "a"}
    Ledger(tmp_path, SETTINGS, made_by=lambda: {"commit": "b"}, **here)
    assert (tmp_path / manifest.NAME).read_bytes() == before
    fields = json.loads(before)
    del fields["made_by"]
    (tmp_path / manifest.NAME).write_text(json.dumps(fields))  # of a version that did not tell
    Ledger(tmp_path, SETTINGS, **here)


@pytest.mark.parametrize("damage", ["byte", "cut", "no checksum", "old checksum"])
def test_a_damaged_shard_is_made_anew(tmp_path, damage, caplog):
    fill(open_ledger(tmp_path, k=20))
    victim = tmp_path / "00032-00039.000-019.jsonl"
    content = victim.read_bytes()
    if damage == "byte":
        victim.write_bytes(content.replace(b"33/7", b"33/8"))
    elif damage == "cut":
        victim.write_bytes(content[:-10])
    elif damage == "no checksum":
        victim.with_name(victim.name + ".sha256").unlink()
    else:
        victim.with_name(victim.name + ".sha256").write_text("0" * 64 + f"  {victim.name}\n")
    book = open_ledger(tmp_path, k=30)  # with a larger k, so that the new shard has another name
    assert numbers(Shard((32, 40), (0, 30))) in missing(book)
    assert victim.name in caplog.text
    fill(book)
    assert sampled(tmp_path) == everything(70, 30)


def test_names_tell_ranges():
    for shard in [Shard((0, 32), (0, 50)), Shard((7456, 7473), (100, 123)), Shard((123456, 123488), (1000, 1050))]:
        assert Shard.from_name(shard.name) == shard == Shard.of(numbers(shard))
    for name in ("paths.jsonl", "00000-00007.some-.jsonl", "00000-00007.some-0123456789AB.jsonl"):
        assert Shard.from_name(name) is None


def test_some_samples_of_some_problems_have_a_name_of_their_own():
    found = {Shard.of(numbers) for numbers in ([(3, 0), (5, 0)], [(5, 0), (3, 0)], [(3, 0), (5, 1)], [(3, 1), (5, 0)])}
    assert len(found) == 3
    for shard in found:
        assert (shard.problems, shard.samples) == ((3, 6), None)
        assert re.fullmatch(r"00003-00005\.some-[0-9a-f]{12}\.jsonl", shard.name)
        assert Shard.from_name(shard.name) == shard
    assert Shard.of([(7, 2)]) == Shard((7, 8), (2, 3))


def test_what_has_holes_is_one_file(tmp_path):
    book = open_ledger(tmp_path, problems=8, k=10)
    book.write(paths([(0, 4), (3, 4)]))
    fill(open_ledger(tmp_path, problems=8, k=10))
    assert len([*tmp_path.glob("*.some-*.jsonl")]) == 2
    assert sampled(tmp_path) == everything(8, 10)
    assert open_ledger(tmp_path, problems=8, k=10).done == 80


def test_other_settings_are_refused_by_name(tmp_path):
    open_ledger(tmp_path)
    with pytest.raises(UserError, match=r"temperature was 0\.7, now 1\.0.*--workdir") as error:
        open_ledger(tmp_path, temperature=1.0)
    assert "model" not in str(error.value)
    with pytest.raises(UserError, match="top_k was null, now 50"):
        open_ledger(tmp_path, top_k=50)


def test_a_manifest_that_is_none(tmp_path):
    for content, message in (("{", "not JSON"), ("[]", "no JSON object")):
        (tmp_path / manifest.NAME).write_text(content)
        with pytest.raises(UserError, match=message):
            open_ledger(tmp_path)


def test_a_manifest_that_is_being_written(tmp_path):
    """Without hard links it is not there at once."""
    open_ledger(tmp_path)
    file = tmp_path / manifest.NAME
    content = file.read_text()
    file.write_text(content[:10])
    threading.Timer(0.7, file.write_text, [content]).start()
    assert open_ledger(tmp_path).wanted == 4200


@pytest.mark.parametrize("tile", [[8], [0, 50], "8"], ids=str)
def test_a_manifest_with_a_wrong_tile(tmp_path, tile):
    open_ledger(tmp_path)
    file = tmp_path / manifest.NAME
    file.write_text(json.dumps(json.loads(file.read_text()) | {terms.TILE: tile}))
    with pytest.raises(UserError, match="tile is"):
        open_ledger(tmp_path)


def test_a_shard_is_in_the_order_of_its_numbers(tmp_path):
    book = open_ledger(tmp_path)
    first = missing(book)[0]
    book.write(paths(first)[::-1])
    lines = (tmp_path / Shard.of(first).name).read_text().splitlines()
    order = [(json.loads(line)["problem"], json.loads(line)["sample"]) for line in lines]
    assert order == first


def test_what_is_there_is_not_written_again(tmp_path):
    """A worker that was taken for dead comes back with paths that its heir has sampled, and one more."""
    one, other = open_ledger(tmp_path), open_ledger(tmp_path)
    first = missing(one)[0]
    assert one.write(paths(first)) == len(first)
    before = {file: file.read_bytes() for file in tmp_path.glob("*.jsonl")}
    ours = [Path(problem, sample, "m", "another", 3, "eos") for problem, sample in first]
    assert other.write([*ours, Path(9, 0, "m", "new", 3, "eos")]) == 1
    assert {file: file.read_bytes() for file in before} == before
    assert sampled(tmp_path) == {*first, (9, 0)}


@pytest.mark.slow
def test_ten_thousand_shards_open_in_ten_seconds(tmp_path):
    problems = 80_000
    book = open_ledger(tmp_path, problems=problems, k=50)
    # 400 paths of GSM8K's mean length; all shards have the same, as opening reads and hashes but does not parse.
    content = b"".join(dump(Path(8, sample, "m", "x" * 300, 130, "eos").to_fields()) for sample in range(400))
    digest = checksum.line(content, "").split()[0]
    for shard in map(Shard.of, missing(book)):
        (tmp_path / shard.name).write_bytes(content)
        (tmp_path / f"{shard.name}.sha256").write_text(f"{digest}  {shard.name}\n")
    assert len(book.tiles) == 10_000
    begun = time.monotonic()
    assert not open_ledger(tmp_path, problems=problems, k=50).tiles
    seconds = time.monotonic() - begun
    print(f"opened in {seconds:.1f} s")
    assert seconds < 10


def test_a_model_that_was_recorded_before_is_recognised(tmp_path):
    open_ledger(tmp_path, model="abc")
    open_ledger(tmp_path, model="abc-123")
    with pytest.raises(UserError, match='model was "abc", now "abd-123"'):
        open_ledger(tmp_path, model="abd-123")
    open_ledger(tmp_path / "now", model="abc-123")
    with pytest.raises(UserError, match='model was "abc-123", now "abc-124"'):
        open_ledger(tmp_path / "now", model="abc-124")
