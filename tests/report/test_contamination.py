"""The section on contamination: accuracy with and without the pairs, of evaluations of these very problems."""

import dataclasses
import json

import pytest

from rft_jax.contamination.compare import compare
from rft_jax.contamination.pairs import Kind
from rft_jax.errors import UserError
from rft_jax.evidence.intervals import percent, share
from rft_jax.records import manifest
from rft_jax.records.lines import dump, write_lines
from rft_jax.records.problem import Problem, write_problems
from rft_jax.report.collect import collect
from rft_jax.report.contamination import FoundPairs, found
from rft_jax.report.report import write
from rft_jax.world import generate

TESTED = generate.problems("test", 40, 0)
RIGHT = [number % 3 == 0 or number < 5 for number in range(40)]


def evaluation(folder, name, problems, right, clusters=None):
    shares = {"mean": 0.5, "low": 0.4, "high": 0.6}
    metrics = {
        "name": name, "problems": "test.jsonl", "fingerprint": manifest.of_problems(problems)["fingerprint"],
        "count": len(problems), "grader": "reference", "graders": {"reference": {"maj1@1": shares}}, "against": [],
        "cluster": {"field": "template", "count": len(set(clusters))} if clusters else None,
    }  # fmt: skip
    (folder / name).mkdir()
    (folder / name / "metrics.json").write_text(json.dumps(metrics))
    lines = [{"problem": number, "reference": {"greedy": each}} for number, each in enumerate(right)]
    if clusters:
        lines = [line | {"cluster": name} for line, name in zip(lines, clusters, strict=True)]
    write_lines(folder / name / "results.jsonl", map(dump, lines))


@pytest.fixture
def workdir(tmp_path):
    """Returns a folder with a comparison that finds test problems 0 to 3 as they are, and an evaluation."""
    trained = [Problem(f"Another one, number {number}, about <b>&amp; things</b>?", "#### 1") for number in range(9)]
    write_problems(tmp_path / "test.jsonl", TESTED)
    write_problems(tmp_path / "train.jsonl", trained + TESTED[:4])
    files = (str(tmp_path / f"{name}.jsonl") for name in ("test", "train"))
    compare(*files, (), tmp_path / "leaks", task="gsm8k", workers=1)
    evaluation(tmp_path, "eval", TESTED, RIGHT)
    return tmp_path


def test_accuracy_with_and_without(workdir):
    run = collect(workdir)
    html = found(run)
    comparison = FoundPairs.read(workdir / "leaks")
    same = comparison.alike((Kind.TEXT, Kind.NORMALISED))
    assert same == {0, 1, 2, 3}
    shares = [RIGHT, RIGHT[4:], RIGHT[:4]]
    cells = [percent(dataclasses.asdict(share(answers))) for answers in shares]
    assert f"<td>the same</td><td>4</td>{''.join(f'<td>{cell}</td>' for cell in cells)}" in html
    assert "<td>same text</td><td>4</td>" in html
    assert "same text, 1.00: test problem 0, and row 10 of the training problems" in html
    assert "<h2>Contamination</h2>" in write(workdir).read_text()


def test_intervals_go_by_the_evaluations_clusters(workdir):
    clusters = [str(number // 2) for number in range(40)]
    evaluation(workdir, "clustered", TESTED, RIGHT, clusters)
    parts = ((RIGHT[4:] + RIGHT[:4], clusters[4:] + clusters[:4]), (RIGHT[4:], clusters[4:]), (RIGHT[:4], clusters[:4]))
    cells = [percent(dataclasses.asdict(share(*part))) for part in parts]
    assert cells[1] != percent(dataclasses.asdict(share(RIGHT[4:])))
    shown = "".join(f"<td>{cell}</td>" for cell in cells)
    assert f"<td>clustered</td><td>the same</td><td>4</td>{shown}" in found(collect(workdir))


def test_all_problems_may_be_alike(workdir):
    comparison = FoundPairs.read(workdir / "leaks")
    without, only = comparison.split(workdir / "eval", "reference", tuple(Kind))
    assert sorted(without + only) == sorted(RIGHT)
    (workdir / "train.jsonl").write_bytes((workdir / "test.jsonl").read_bytes())
    files = (str(workdir / f"{name}.jsonl") for name in ("test", "train"))
    compare(*files, (), workdir / "leaks", task="gsm8k", workers=1)
    assert "<td>the same</td><td>40</td>" in found(collect(workdir))
    assert "<td>–</td>" in found(collect(workdir))


def test_results_of_other_problems_are_refused(workdir):
    evaluation(workdir, "elsewhere", TESTED[::-1], RIGHT)
    comparison = FoundPairs.read(workdir / "leaks")
    with pytest.raises(UserError, match="elsewhere is an evaluation of test"):
        comparison.split(workdir / "elsewhere", "reference", tuple(Kind))
    html = found(collect(workdir))
    assert "On other problems, so not in this table: elsewhere." in html
    assert "<td>elsewhere</td>" not in html


def test_pairs_of_another_comparison_are_refused(workdir):
    lines = (workdir / "leaks" / "pairs.jsonl").read_text().splitlines(keepends=True)
    (workdir / "leaks" / "pairs.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(UserError, match="does not belong to contamination"):
        found(collect(workdir))
    (workdir / "leaks" / "contamination.json").write_text("{}")
    with pytest.raises(UserError, match="holds no comparison that this version can read"):
        found(collect(workdir))


def test_without_a_comparison_there_is_no_section(workdir):
    (workdir / "leaks" / "contamination.json").unlink()
    assert found(collect(workdir)) == ""
