"""Files of the user's own that a stage reads beside its data: tasks, templates, worked examples, graders."""

from collections.abc import Sequence
from pathlib import Path

from rft_jax.config import SampleConfig, TrainConfig
from rft_jax.pipeline.stage import Reads
from rft_jax.task import auditing
from rft_jax.task import task as tasks


def asked_by(made: TrainConfig | SampleConfig) -> dict[str, Reads]:
    """Returns the files that say what a model is asked: their contents count, as all that a stage reads."""
    examples = made.shots_from if isinstance(made, SampleConfig) else None
    named_task = tasks.Reference.parse(made.task or "").name
    named = {"the task": named_task, "the template": made.template, "the worked examples": examples}
    # What is shipped has a name without a suffix.
    return {what: name for what, name in named.items() if name and Path(name).suffix}


def task(name: str) -> dict[str, Reads]:
    """Returns the user's own file that defines a task, if it is one."""
    file = tasks.Reference.parse(name).file
    return {"the task": file} if file else {}


def judging(name: str) -> dict[str, Reads]:
    """Returns the user's own files by which paths of a task are selected."""
    return {**task(name), **graders(name, None, None)}


def graders(name: str, grader: str | None, audits: Sequence[str] | None) -> dict[str, Reads]:
    """Returns the user's own files that judge the answers."""
    references, _ = auditing.choose(tasks.load(name), grader, audits)
    files = tuple(reference for reference in references if reference.endswith(".py"))
    return {"the graders": files} if files else {}
