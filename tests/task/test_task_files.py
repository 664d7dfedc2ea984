"""A task of one's own that is none: one line, whatever its file does."""

import pytest

from rft_jax.errors import UserError
from rft_jax.task import grader, task

_CHANGED = "import dataclasses\nfrom rft_jax.task.gsm8k import TASK\nTASK = dataclasses.replace(TASK, {})"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("TASK = (", "cannot be loaded: SyntaxError"),
        ("raise RuntimeError('why')", "cannot be loaded: RuntimeError: why"),
        ("raise SystemExit(0)", "cannot be loaded: SystemExit: 0"),
        ("task = 5", "defines no TASK"),
        ("TASK = 5", "TASK is 5, not a Task"),
        (_CHANGED.format("template='paper'"), "TypeError: template is 'paper', not Template"),
        (_CHANGED.format("equations=None"), "TypeError: equations is None, not Equations"),
        (_CHANGED.format("reader=('question', 'answer')"), "TypeError: reader is \\('question', 'answer'\\)"),
    ],
)
def test_a_task_file_that_is_wrong(tmp_path, content, message):
    (tmp_path / "wrong.py").write_text(content)
    with pytest.raises(UserError, match=message):
        task.load(str(tmp_path / "wrong.py"))


def test_a_grader_of_another_kind(tmp_path):
    (tmp_path / "wrong.py").write_text("GRADER = str.lower")
    with pytest.raises(UserError, match=r"GRADER is <method .*not a Grader"):
        grader.load(str(tmp_path / "wrong.py"))
