"""What is missing is found, what is damaged is set aside, and other settings are refused."""

import json

import pytest

from rft_jax.errors import UserError
from rft_jax.records.path import Path, read_paths
from rft_jax.sample import ledger
from rft_jax.sample.ledger import Ledger, Shard, numbers

SETTINGS = {"model": "abc", "temperature": 0.7, "end_tokens": (2,)}


def open_ledger(folder, problems=70, k=60, task=0, tasks=1, writer=True, **changes):
    return Ledger(folder, SETTINGS | changes, problems=problems, k=k, task=task, tasks=tasks, writer=writer)


def paths(shard):
    return [Path(problem, sample, "m", f"{problem}/{sample}", 3, "eos") for problem, sample in numbers(shard)]


def fill(book, shards=None):
    for shard in book.missing if shards is None else shards:
        book.write(shard, paths(shard))


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
    assert (again.missing, again.done, again.wanted) == ([], 4200, 4200)


@pytest.mark.parametrize("steps", [(1, 60), (8, 16, 60), (49, 50, 51, 130), (60, 20)], ids=str)
def test_a_larger_k_adds(tmp_path, steps):
    for k in steps:
        before = {file: file.read_bytes() for file in tmp_path.glob("*.jsonl")}
        fill(open_ledger(tmp_path, k=k))
        assert all(file.read_bytes() == content for file, content in before.items())
    assert sampled(tmp_path) == everything(70, max(steps))
    fill(open_ledger(tmp_path, k=200))
    assert sampled(tmp_path) == everything(70, 200)


def test_tasks_share_without_overlap(tmp_path):
    books = [open_ledger(tmp_path, task=task, tasks=3) for task in range(3)]
    shares = [set(book.missing) for book in books]
    assert not (shares[0] & shares[1] | shares[0] & shares[2] | shares[1] & shares[2])
    fill(books[0])
    fill(books[2])
    # Another number of tasks, and one that starts late, find what the dead one left.
    rest = open_ledger(tmp_path, task=0, tasks=1)
    assert set(rest.missing) == shares[1]
    fill(rest)
    assert sampled(tmp_path) == everything(70, 60)


@pytest.mark.parametrize("damage", ["byte", "cut", "no checksum", "old checksum"])
def test_a_damaged_shard_is_made_anew(tmp_path, damage, caplog):
    fill(open_ledger(tmp_path, k=20))
    victim = tmp_path / "00032-00063.000-019.jsonl"
    content = victim.read_bytes()
    if damage == "byte":
        victim.write_bytes(content.replace(b"40/7", b"40/8"))
    elif damage == "cut":
        victim.write_bytes(content[:-10])
    elif damage == "no checksum":
        victim.with_name(victim.name + ".sha256").unlink()
    else:
        victim.with_name(victim.name + ".sha256").write_text("0" * 64 + f"  {victim.name}\n")
    book = open_ledger(tmp_path, k=30)  # with a larger k, so that the new shard has another name
    assert Shard((32, 64), (0, 30)) in book.missing
    assert victim.name in caplog.text
    fill(book)
    assert sampled(tmp_path) == everything(70, 30)


def test_names_tell_ranges():
    for shard in [Shard((0, 32), (0, 50)), Shard((7456, 7473), (100, 123)), Shard((123456, 123488), (1000, 1050))]:
        assert Shard.from_name(shard.name) == shard
    assert Shard.from_name("paths.jsonl") is None


def test_other_settings_are_refused_by_name(tmp_path):
    open_ledger(tmp_path)
    with pytest.raises(UserError, match=r"temperature was 0\.7, now 1\.0.*--workdir") as error:
        open_ledger(tmp_path, temperature=1.0)
    assert "model" not in str(error.value)
    with pytest.raises(UserError, match="top_k was null, now 50"):
        open_ledger(tmp_path, top_k=50)


def test_a_manifest_that_is_none(tmp_path):
    for content, message in (("{", "not JSON"), ("[]", "no JSON object")):
        (tmp_path / ledger.MANIFEST).write_text(content)
        with pytest.raises(UserError, match=message):
            open_ledger(tmp_path)


@pytest.mark.parametrize(("k", "task", "tasks"), [(0, 0, 1), (1, 1, 1), (1, -1, 2)])
def test_nothing_to_ask_for(tmp_path, k, task, tasks):
    with pytest.raises(UserError):
        open_ledger(tmp_path, k=k, task=task, tasks=tasks)


def test_a_shard_takes_its_own_paths_only(tmp_path):
    book = open_ledger(tmp_path)
    with pytest.raises(ValueError, match="other paths"):
        book.write(book.missing[0], paths(book.missing[1]))
    book.write(book.missing[0], paths(book.missing[0])[::-1])
    lines = (tmp_path / book.missing[0].name).read_text().splitlines()
    order = [(json.loads(line)["problem"], json.loads(line)["sample"]) for line in lines]
    assert order == list(numbers(book.missing[0]))


def test_only_the_writer_changes_the_folder(tmp_path, caplog):
    book = open_ledger(tmp_path / "new", writer=False)
    assert len(book.missing) == 6
    book.write(book.missing[0], paths(book.missing[0]))
    assert not (tmp_path / "new").exists()
    fill(open_ledger(tmp_path))
    victim = min(tmp_path.glob("*.jsonl"))
    victim.write_bytes(b"")
    assert len(open_ledger(tmp_path, writer=False).missing) == 1
    assert victim.exists()
