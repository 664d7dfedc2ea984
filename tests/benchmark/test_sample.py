"""Each workload of the sampling benchmark, at a small size: what comes out, and how little is done for nothing."""

import dataclasses
import heapq
import json

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from rft_jax import runtime
from rft_jax.benchmark import sample, sample_engines
from rft_jax.benchmark.sample_ours import Sampler
from rft_jax.benchmark.sample_work import SHORTEST, WORKLOADS, Source, Work
from rft_jax.errors import UserError
from rft_jax.model import architecture
from tests.sample.conftest import questions

SCALE = 2  # of all lengths
ROWS = 16
CALL = 16  # steps until a row that waits for another problem gets it
LONG = {"tail", "limit", "many", "smol_1", "smol_k16"}  # these take longest


def small(name: str) -> Work:
    """Returns a workload with fewer problems and samples, shorter lengths and made-up prompts."""
    full = WORKLOADS[name]
    most = {1: 64, 300: 3}.get(full.k, 8)
    workload = dataclasses.replace(
        full, problems=min(full.problems, most), k=min(full.k, 60 if name == "many" else 20), limit=full.limit // SCALE
    )
    random = np.random.default_rng(1)
    head = random.integers(3, 256, 30 * (1 + workload.shots)).tolist()
    prompts = [head + random.integers(3, 256, size).tolist() for size in random.integers(5, 60, workload.problems)]
    gold = np.clip(random.lognormal(np.log(120 / SCALE), 0.4, workload.problems), SHORTEST, None).round().astype(int)
    return workload.work(prompts, gold, "tiny-gqa")


def possible(work: Work, rows: int) -> float:
    """Returns the occupancy of rows that take the next sample at the first call after they end."""
    free = [0] * rows
    ends = []
    for length in work.lengths.flat:
        ends.append(free[0] + length)
        heapq.heapreplace(free, -(-ends[-1] // CALL) * CALL)
    return work.lengths.sum() / (rows * max(free))


def sampler_of(work: Work, rows: int) -> Sampler:
    """Returns our sampler on one device."""
    mesh = jax.make_mesh((1, 1, 1), runtime.AXES, (AxisType.Explicit,) * 3, devices=jax.devices()[:1])
    return Sampler(work, architecture.size(work.size), mesh, rows=rows, top_k=50)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in WORKLOADS])
def test_all_samples_come_out_with_little_done_twice(name):
    work = small(name)
    rows = min(ROWS, work.lengths.size)
    sampler = sampler_of(work, rows)
    made = {}
    for response in sampler.responses(seconds=float("inf")):
        assert (response.problem, response.sample) not in made
        made[response.problem, response.sample] = len(response.tokens)
    assert made == dict(np.ndenumerate(work.lengths))
    figures = sampler.figures()
    assert figures["tokens"] == work.lengths.sum()
    assert figures["twice"] < 0.02
    assert figures["occupancy"] > 0.9 * possible(work, rows)


def test_time_that_is_up_ends_the_work():
    work = small("limit")
    sampler = sampler_of(work, ROWS)
    assert list(sampler.responses(seconds=-1)) == []
    assert sampler.figures()["tokens"] == 0


def test_lengths_are_what_the_workloads_say():
    gold = np.random.default_rng(0).integers(60, 200, 400)
    lengths = {name: workload.work([[1]] * 400, gold).lengths for name, workload in WORKLOADS.items()}
    for name, each in lengths.items():
        assert each.shape == (400, WORKLOADS[name].k)
        assert each.min() >= SHORTEST
        assert each.max() <= WORKLOADS[name].limit
    assert np.median(lengths["gold"] / gold[:, None]) == pytest.approx(1, rel=0.05)
    assert np.median(lengths["twice"] / gold[:, None]) == pytest.approx(2, rel=0.05)
    assert np.mean(lengths["tail"] == 1024) == pytest.approx(0.02, rel=0.1)
    assert lengths["few_shot"].max() < WORKLOADS["few_shot"].limit
    assert np.all(lengths["limit"] == 256)
    assert np.all(lengths["smol_k16"] == 160)
    assert len(np.unique(lengths["equal"])) == 1


def test_a_block_is_whole_with_its_last_response():
    blocks = sample_engines.Blocks(10, 60)  # 8 and 2 problems, 50 and 10 samples
    whole = [(problem, number) for problem, number in np.ndindex(10, 60) if blocks.add(problem, number)]
    assert whole == [(7, 49), (7, 59), (9, 49), (9, 59)]
    blocks = sample_engines.Blocks(40, 2)
    assert [each for each in np.ndindex(40, 2) if blocks.add(*each)] == [(31, 1), (39, 1)]


def test_static_batches_do_all_the_work_and_count_what_is_useful():
    work = small("gold")
    seen = []

    def generate(prompts, lengths):
        assert len({tuple(prompt) for prompt in prompts}) <= 2  # samples of a problem are together
        seen.append(len(prompts) * lengths.max())

    result = sample_engines._batches(work, 16, float("inf"), generate)
    assert result["whole"]
    assert result["tokens"] == work.lengths.sum()
    assert result["occupancy"] == pytest.approx(work.lengths.sum() / sum(seen))
    assert not sample_engines._batches(work, 16, 0.0, generate)["whole"]


def test_an_unknown_workload_names_the_nearest(tmp_path):
    arguments = {"size": None, "rows": 0, "seconds": 1.0, "rounds": 1, "peer_python": "python"}
    with pytest.raises(UserError, match=r"unknown workload 'god' \(did you mean 'gold'\?\); known: gold, twice"):
        next(sample.run(problems_file=str(tmp_path), names=["god"], **arguments))


@pytest.fixture(scope="module")
def train_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "train.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in questions(400)), encoding="utf-8")
    return str(file)


def test_work_is_saved_whole(train_file, tmp_path):
    work = Source(train_file).work(WORKLOADS["few_shot"])
    head = work.prompts[0][:200]
    assert all(prompt[:200] == head for prompt in work.prompts)
    work.save(tmp_path / "work.json")
    read = Work.load(tmp_path / "work.json")
    fields, again = vars(work), vars(read)
    for name in ("lengths", "expected"):
        np.testing.assert_array_equal(again.pop(name), fields.pop(name))
    assert again == fields


def test_too_few_problems_are_an_error(train_file):
    with pytest.raises(UserError, match=r"train\.jsonl: 400 problems, but a workload needs 1319"):
        Source(train_file).work(WORKLOADS["greedy"])


def test_the_table_shows_medians_and_the_peers_best_batch(train_file, monkeypatch):
    seconds = {
        ("ours", 0): iter([1.0, 9.0, 2.0]),
        ("generate", 8): iter([8.0, 8.0, 8.0]),
        ("generate", 32): iter([4.0] * 3),
    }

    def measure(python, engine, work, limit, size):
        spent = {"seconds": next(seconds[engine, size]), "cpu": 16.0, "tokens": 160, "occupancy": 0.5}
        return spent | {"whole": engine == "ours", "twice": 0.125, "shard": None, "compiled": 0}

    monkeypatch.setattr(sample, "_measure", measure)
    monkeypatch.setattr(sample.importlib.util, "find_spec", lambda name: name)
    arguments = {"size": None, "rows": 0, "seconds": 60.0, "rounds": 3, "peer_python": "false"}
    *_, row, summary = sample.run(problems_file=train_file, names=["gold"], **arguments)
    ours, peer, tunix = "80 10 50.0% 12.5% – 2.0", "40 10 32 –", "– – – –"
    assert row.split() == ["gold", *f"{ours} {peer} {tunix} 2.00".split()]
    assert summary.split()[:4] == ["bench-58m,", "400", "×", "100,"]


@pytest.mark.slow
def test_a_row_of_the_table(train_file, monkeypatch):
    pytest.importorskip("torch", reason="the peer is transformers' generate: install the extra `torch`")
    monkeypatch.delenv("PYTHONPATH")  # which hides torch, see tests/conftest.py
    arguments = {"size": "world", "rows": 0, "seconds": 60.0, "rounds": 1, "peer_python": "false"}
    lines = list(sample.run(problems_file=train_file, names=["smol_1"], **arguments))
    name, *cells = lines[3].split()
    assert name == "smol_1"
    wall, _, occupancy, twice, shard, whole, peer, _, rows, peer_whole, *tunix, ratio = cells
    assert float(occupancy[:-1]) > 0
    assert twice == "0.0%"
    assert float(shard) <= float(whole)
    assert float(peer_whole) > 0
    assert rows == "1"
    assert tunix == ["–"] * 4
    assert float(ratio) == pytest.approx(float(wall) / float(peer), rel=0.02)
