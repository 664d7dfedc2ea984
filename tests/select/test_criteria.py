"""Task, graders and rule, shipped or one's own: what they decide, and what is told where they are wrong."""

import json
from pathlib import Path as File
from typing import Any

import pytest

from rft_jax.errors import UserError
from rft_jax.records.path import Path, write_paths
from rft_jax.select.criteria import criteria
from rft_jax.select.selection import select
from rft_jax.select.statistics import table
from rft_jax.task import grader as grader_of
from tests.select.selection import PROBLEMS, selected

SHORTEST = """
from rft_jax.select.rules import Rule

def choose(paths, farthest):
    return sorted(paths, key=lambda path: len(path.response))[:1]

RULE = Rule(name="shortest", choose=choose)
"""
LETTER = """
from rft_jax.task.grader import Grader

class Letter(Grader):
    name = "letter"

    def parse(self, text):
        return next((word for word in reversed(text.split()) if word in "ABCD"), None)

GRADER = Letter()
"""
CHOICE = """
from rft_jax.task.equations import ANNOTATED
from rft_jax.task.reader import Reader
from rft_jax.task.task import Task
from rft_jax.task.templates.paper import Paper

TASK = Task(
    name="choice", reader=Reader(("stem", "key")), template=Paper(), grader="letter.py", audits=("reference",),
    equations=ANNOTATED,
)
"""


@pytest.fixture
def own(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> File:
    """Goes to a folder with a rule, a grader and a task of one's own, and data for them."""
    for name, text in {"shortest": SHORTEST, "letter": LETTER, "choice": CHOICE}.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "choice.jsonl").write_text('{"stem": "Which?", "key": "B"}\n' * 2)
    write_paths(
        tmp_path / "paths.jsonl",
        [
            Path(0, 0, "m", "I say B"), Path(0, 1, "m", "So <<1+1=2>> B"), Path(0, 2, "m", "C"),
            Path(1, 0, "m", "no idea"), Path(1, 1, "m", "B\n#### 3"),
        ],
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_a_grader_and_a_rule_from_outside(own: File, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr("rft_jax.select.passes._WORTH_A_PROCESS", 1)
    result = select(
        "choice.jsonl", ["paths.jsonl"], "out.jsonl", task="choice.py", rules="shortest.py", ks=[], workers=workers
    )
    rows = [json.loads(line) for line in (own / "out.jsonl").read_text().splitlines()]
    assert [(row.get("sample"), row["response"]) for row in rows] == [
        (None, "B"),
        (0, "I say B"),
        (None, "B"),
        (1, "B\n#### 3"),
    ]
    assert (result["task"], result["grader"], result["rules"]) == ("choice", "letter", "shortest")
    audit = result["graders"]["reference"]
    assert (audit["unreadable_gold_answers"], audit["paths"], audit["share"]) == (2, 0, None)
    assert audit["examples"] == []


def test_graders_by_default_and_by_name() -> None:
    assert criteria("gsm8k", grader=None, audits=None, rules="paper").graders == ("reference", "robust")
    assert criteria("gsm8k", grader="robust", audits=None, rules="paper").graders == ("robust", "reference")
    assert criteria("gsm8k", grader="robust", audits=[], rules="paper").graders == ("robust",)
    assert criteria("gsm8k", grader=None, audits=["robust", "reference", "robust"], rules="paper").graders == (
        "reference",
        "robust",
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task": "gsm8"}, "no task is called 'gsm8' .did you mean 'gsm8k'"),
        ({"grader": "robus"}, "no grader is called 'robus' .did you mean 'robust'"),
        ({"audits": ["nowhere.py"]}, "no file .*nowhere.py"),
        ({"rules": "papre"}, "no rule is called 'papre' .did you mean 'paper'"),
        ({"rules": "letter.py"}, "letter.py defines no RULE"),
        ({"audits": ["letter.py", "twin.py"]}, "two graders are named 'letter': .*letter.py and .*twin.py; rename one"),
        ({"rules": "broken.py"}, "broken.py cannot be loaded: ZeroDivisionError"),
    ],
)
def test_what_is_not_there_is_told(own: File, given: dict[str, object], told: str) -> None:
    (own / "twin.py").write_text(LETTER)
    (own / "broken.py").write_text("1 / 0")
    settings: dict[str, object] = {"task": "gsm8k", "grader": None, "audits": None, "rules": "paper"} | given
    with pytest.raises(UserError, match=told):
        criteria(settings.pop("task"), **settings)  # type: ignore[arg-type]


def test_an_auditor_disagrees_with_values_and_at_most_twenty_examples() -> None:
    right, by_robust, by_reference = "#### 42", "#### $42", "#### 42 then\n#### 7"
    texts = [right] * 3 + [by_robust] * 30 + [by_reference] * 2 + ["no idea"]
    statistics = selected([[[Path(0, sample, "m", text) for sample, text in enumerate(texts)]]]).statistics
    audit = statistics["graders"]["robust"]
    assert audit | {"examples": []} == {
        "correct_by_both": 3, "correct_by_reference_only": 2, "correct_by_robust_only": 30, "paths": 36,
        "disagree": 32, "share": 32 / 36, "unreadable_gold_answers": 0, "examples": [],
    }  # fmt: skip
    assert len(audit["examples"]) == 20
    assert audit["examples"][0] == {
        "problem": 0, "model": "m", "sample": 3, "correct_by": "robust", "answers": {"reference": None, "robust": "42"},
    }  # fmt: skip


def test_without_an_auditor_nothing_is_compared() -> None:
    assert selected([[[Path(0, 0, "m", "#### 42")]]], audits=[]).statistics["graders"] == {}


RAN_ON = "<<2*21=42>>42\n#### 42\n\nQuestion: And then?"


@pytest.mark.parametrize(("rules", "takes"), [("paper", False), ("none", False), ("reference", True)])
def test_unfit_paths_are_counted_and_not_selected(rules: str, takes: bool) -> None:
    paths = [
        Path(0, 0, "m", RAN_ON, 99, "length"),
        Path(0, 1, "m", "half \ud800 of it\n#### 42"),
        Path(1, 0, "m", RAN_ON.replace("#### 42", "#### 43"), 99, "eos"),  # it ended itself
        Path(2, 0, "m", "<<2*22=44>>44\n#### 44", 99, "length"),  # cut right behind its answer
        Path(3, 0, "m", RAN_ON.replace("#### 42", "#### 45"), 99),  # nobody knows
        Path(3, 1, "m", RAN_ON, 99, "length"),  # wrong anyhow
    ]
    outcome = selected([[paths]], rules=rules)
    united = outcome.statistics["united"]
    assert (united["correct"], united["run_on"], united["not_text"]) == (5, 1, 1)
    assert united["equations_hold"] == united["distinct"] == (5 if takes else 3)
    responses = [row["response"] for row in outcome.rows]
    for path in paths[:2]:
        assert (path.response in responses) is takes
    assert all(path.response in responses for path in paths[2:5])
    assert outcome.statistics["rows"]["out.jsonl"] == {"gold": len(PROBLEMS), "selected": 5 if takes else 3}


def test_a_run_on_path_does_not_replace_a_clean_one() -> None:
    clean, other = "<<2*21=42>>42\n#### 42", "<<40+2=42>>\n#### 42"
    paths = [Path(0, 0, "m", clean, 9, "eos"), Path(0, 1, "m", other, 9, "eos"), Path(0, 2, "m", RAN_ON, 99, "length")]
    assert [path.response for path in selected([[paths]]).paths] == [clean, other]
    assert RAN_ON in [row["response"] for row in selected([[paths]], rules="reference").rows]


SLOW = """
from rft_jax.task.grader import Grader

class Slow(Grader):
    name = "slow"
    killed = 0

    def parse(self, text):
        if "hang" in text:
            self.killed += 1
            return None
        return "42"

GRADER = Slow()
"""


def test_answers_that_a_grader_gave_up_are_counted(tmp_path: File) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    paths = [Path(0, sample, "m", text) for sample, text in enumerate(["hang #### 42", "#### 42", "so #### 42 hang"])]
    statistics = selected([[paths]], audits=[str(tmp_path / "slow.py")]).statistics
    assert statistics["answers_given_up"] == {"slow": 2}
    assert "2 answers took the grader slow too long to read" in table(statistics)
    assert "answers_given_up" not in selected([[paths]]).statistics


def test_an_auditor_of_the_task_that_lacks_its_package_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = grader_of.load

    def without_a_package(reference: str) -> Any:
        if reference == "robust":
            raise UserError("the grader 'robust' needs a package")
        return whole(reference)

    monkeypatch.setattr(grader_of, "load", without_a_package)
    made = criteria("gsm8k", grader=None, audits=None, rules="paper")
    assert (made.graders, made.left_out) == (
        ("reference",),
        ("the grader 'robust' needs a package; it does not audit here",),
    )
    for named in ({"grader": "robust", "audits": None}, {"grader": None, "audits": ["robust"]}):
        with pytest.raises(UserError, match="needs a package"):
            criteria("gsm8k", rules="paper", **named)
