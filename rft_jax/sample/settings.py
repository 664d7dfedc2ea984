"""What the settings of a run mean: the texts to continue, this process's share, and all that a path depends on."""

import os

import jax
import jax.numpy as jnp

from rft_jax.config import SampleConfig
from rft_jax.errors import UserError
from rft_jax.records import problem as problems_of
from rft_jax.records.problem import Problem
from rft_jax.task import prompt as templates

_OF_A_PATH = (
    "temperature", "top_k", "top_p", "min_p", "max_new_tokens", "prompt_tokens", "begin_token", "seed", "shots",
)  # fmt: skip


def of_a_path(config: SampleConfig, **others: object) -> dict[str, object]:
    """Returns what a path depends on: everything but k and how the work is laid out."""
    return {**others, **{name: getattr(config, name) for name in _OF_A_PATH}}


def prompt_texts(problems: list[Problem], *, shots: int, shots_from: str | None, seed: int) -> list[str]:
    """Returns the prompt of each problem: the instruction template, or worked examples before the question.

    Raises:
        UserError: no file to take the examples from, or too few problems in it.
    """
    if shots == 0:
        return [templates.sampling_prompt(problem.question) for problem in problems]
    if shots_from is None:
        raise UserError(f"{shots} worked examples need --config.shots_from=FILE, problems to take them from")
    known = problems_of.read_problems(shots_from)
    if not 0 < shots <= len(known):
        raise UserError(f"shots = {shots}, but {shots_from} has {len(known)} problems to take worked examples from")
    examples = templates.choose_shots(known, shots, seed)
    return [templates.few_shot_prompt(examples, problem.question) for problem in problems]


def compute_dtype(name: str) -> jnp.dtype:
    """Returns the dtype of the computation; `auto` is bfloat16, on CPU float32."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)


def share(task: int, tasks: int | None) -> tuple[int, int]:
    """Returns this task's number and how many there are; without a count SLURM's job array tells, or there is one."""
    if tasks is not None:
        return task, tasks
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        number, first, count = (int(os.environ[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN", "COUNT"))
        place, between = divmod(number - first, int(os.environ.get("SLURM_ARRAY_TASK_STEP", "1")))
        if between or place >= count:
            raise UserError(
                f"task {number} of a job array of {count} from {first}: its numbers are no even range; give "
                "--config.part=NUMBER, from 0, and --config.parts=HOW_MANY"
            )
        return place, count
    return 0, 1
