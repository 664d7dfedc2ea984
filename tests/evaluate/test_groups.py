"""Accuracy by a field of the problems, in the metrics, the table and the report."""

import dataclasses
import json

import pytest

from rft_jax.config import EvaluateConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.evaluate import groups, loop
from rft_jax.evaluate.grade import Result
from rft_jax.evidence.intervals import share
from rft_jax.pipeline.stage_settings import root
from rft_jax.records.path import Path, write_paths
from rft_jax.report import report
from tests.task.hub_forms import GSM_PLUS, GSM_SYMBOLIC, MATH

RIGHT, WRONG = Result(True, None, 0, 0), Result(False, None, 0, 0)


@pytest.fixture
def rows(tmp_path):
    """Returns a function that writes rows to a file and returns its name."""

    def write(made):
        file = tmp_path / "problems.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in made))
        return str(file)

    return write


def test_values_are_counted_in_the_order_of_people(rows):
    levels = groups.read(rows(MATH), None, ("level", "subject"))
    assert levels == {"level": ["Level 1", "Level 2", "Level 10"]}  # no subject there: a task's fields are offers
    described = groups.describe(levels, [RIGHT, WRONG, RIGHT])["level"]
    assert [group["value"] for group in described] == ["Level 1", "Level 2", "Level 10"]


def test_each_group_is_a_sample_of_its_own(rows):
    templates = groups.read(rows(GSM_SYMBOLIC * 20), ("id",), ())
    (first, second) = groups.describe(templates, [RIGHT, WRONG, RIGHT, RIGHT] * 20)["id"]
    assert (first["value"], first["count"], second["count"]) == ("0", 40, 40)
    assert first["maj1@1"] == dataclasses.asdict(share([True, False] * 20))
    assert second["maj1@1"] == dataclasses.asdict(share([True] * 40))


def test_what_cannot_be_graded_is_not_counted(rows):
    (one, two) = groups.describe(groups.read(rows(MATH), ("type",), ()), [RIGHT, None, None])["type"]
    assert (one["value"], one["count"]) == ("Algebra", 0)
    assert "maj1@1" not in one
    assert (two["count"], two["maj1@1"]["mean"]) == (1, 1)
    assert [line.split() for line in groups.lines({"type": [one, two]})][1:] == [
        ["Algebra", "0", "–", "few"], ["Prealgebra", "1", "100.0", "(20.7", "to", "100.0)", "few"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"problem": "?", "solution": "1"}, r'row 4: no field "level" to group by; the row has .problem., .solution.'),
        ({"level": [1]}, r'row 4: "level" is \[1\], which is no group'),
    ],
)
def test_a_field_that_was_asked_for_must_be_there(rows, row, told):
    with pytest.raises(UserError, match=told):
        groups.read(rows([*MATH, row]), ("level",), ())


@pytest.mark.parametrize(
    ("preset", "data", "solved"),
    [
        ("math", MATH, {"level": [0, 1, 0], "type": [0.5, 0]}),
        ("gsm_plus", GSM_PLUS, {"perturbation_type": [1, 0, 0]}),
        ("gsm_symbolic", GSM_SYMBOLIC, {"id": [0.5, 0.5]}),
    ],
)
def test_an_evaluation_on_a_set_of_the_hub(rows, tmp_path, monkeypatch, preset, data, solved):
    """The sampler answers as the second problem's gold response wants, but of GSM-Plus with `None`."""
    said = {"math": r"\boxed{0.5}", "gsm_plus": "#### None", "gsm_symbolic": "#### 21"}[preset]

    def sample(config, workdir):
        (workdir / "paths").mkdir(parents=True, exist_ok=True)
        write_paths(workdir / "paths" / "0.jsonl", [Path(number, 0, "m", said) for number in range(len(data))])

    monkeypatch.setattr(loop, "sample", sample)
    config = load(f"{root()}/configs/evaluate.py:{preset}", EvaluateConfig)
    assert config.problems.startswith("hf:")
    made = dataclasses.replace(config, model=str(tmp_path), name="m", problems=rows(data))
    printed = loop.evaluate(made, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {name: [group["maj1@1"]["mean"] for group in found] for name, found in metrics["groups"].items()} == solved
    first = json.loads((tmp_path / "out" / "results.jsonl").read_text().split("\n")[0])
    assert first["groups"] == {name: str(data[0][name]) for name in solved}
    assert all(f"by {name}" in printed for name in solved)
    page = report.write(tmp_path).read_text(encoding="utf-8")
    assert "By group" in page
    assert all(f"{name}, maj1@1" in page for name in solved)


def test_many_values_are_not_printed(rows):
    found = groups.describe({"id": [str(number) for number in range(1000)]}, [RIGHT] * 1000)
    assert list(groups.lines(found)) == ["by id: 1,000 values, in metrics.json"]
