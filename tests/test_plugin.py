"""A user's own file: one name however it is called, and one line for whatever is wrong in it."""

from pathlib import Path

import pytest

from rft_jax import plugin
from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.select.workers import ordered_map
from rft_jax.task import grader as graders
from rft_jax.task import task as tasks
from rft_jax.task.gold import gold_answers

TASK = """
from rft_jax.task.equations import PLAIN
from rft_jax.task.reader import Reader
from rft_jax.task.task import Task
from rft_jax.task.templates.paper import Paper
fields = dict(name="own", reader=Reader(), template=Paper(), grader="robust", audits=(), equations=PLAIN)
"""
GRADER = """
from rft_jax.task.grader import Grader
class Own(Grader):
    name = "own"
    def parse(self, text):
        return PARSED
GRADER = Own()
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("TASK = 5", "own.py: TASK is a int, not a Task"),
        (TASK + "TASK = Task", "own.py: TASK is the class Task itself, not a Task"),
        (TASK + "TASK = Task(**fields | {'template': 'paper'})", "own.py: template of a Task is a str, not a Template"),
        (TASK + "TASK = Task(**fields | {'audits': 'own.py'})", "own.py: audits of a Task is a str, not a tuple"),
        (TASK + "TASK = Task(**fields | {'equations': type(PLAIN)})", "own.py: equations of a Task is the class "),
        ("import sys; sys.exit(3)", "own.py cannot be loaded: SystemExit: 3"),
        ("TASK = ", "own.py cannot be loaded: SyntaxError"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(UserError) as error:
        tasks.load(str(tmp_path / "own.py"))
    assert str(tmp_path / told) in str(error.value)


def parse(file: str) -> object:
    return graders.load(file).parse("text")


def parse_wrongly(file: str) -> object:
    return graders.load(file).parse(None) + 1 / 0  # type: ignore[operator,arg-type]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("parsed", ["int(text)", "__import__('json').loads(text)"])
def test_what_raises_while_it_is_at_work_is_told_by_its_line(tmp_path: Path, parsed: str, workers: int) -> None:
    file = tmp_path / "own.py"
    file.write_text(GRADER.replace("PARSED", parsed))
    with pytest.raises(UserError, match=rf"{file}:6: \w+Error: "), plugin.blamed(), ordered_map(workers) as run:
        list(run(parse, [str(file)]))


def test_our_own_mistakes_are_not_the_users(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(GRADER.replace("PARSED", "1"))
    with pytest.raises(ZeroDivisionError), plugin.blamed():
        parse_wrongly(str(tmp_path / "own.py"))
    with pytest.raises(TypeError), plugin.blamed():
        graders.load("boxed").parse(None)  # type: ignore[arg-type]


def test_a_file_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    names = ["own.py", "../a/own.py", "../b/own.py", f"{tmp_path}/b/../a/own.py"]
    assert {plugin.placed(name) for name in names} == {str(tmp_path.resolve() / "a" / "own.py")}
    assert plugin.placed("gsm8k") == "gsm8k"


def test_an_answer_that_cannot_be_counted_is_told_before_anything_is_sampled(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(GRADER.replace("PARSED", "[text]"))
    with pytest.raises(UserError, match="the grader 'own' makes a list of a gold answer"):
        gold_answers([Problem("How many?", "5")], graders.load(str(tmp_path / "own.py")), "problems.jsonl")
