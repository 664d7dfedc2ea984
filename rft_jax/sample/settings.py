"""What the settings of a run mean: how the model is asked, and all that a path depends on."""

import jax
import jax.numpy as jnp

from rft_jax.config import SampleConfig
from rft_jax.data.prompt_format import PromptFormat
from rft_jax.errors import UserError
from rft_jax.records.problem import read_problems
from rft_jax.task import task as tasks
from rft_jax.task.template import Template
from rft_jax.task.templates import known
from rft_jax.task.templates.shots import choose_shots

_OF_A_PATH = ("temperature", "top_k", "top_p", "min_p", "max_new_tokens", "prompt_tokens", "seed")


def of_a_path(config: SampleConfig, asked: PromptFormat, **others: object) -> dict[str, object]:
    """Returns what a path depends on: everything but k and how the work is laid out."""
    how = {
        "name": asked.name,
        "template": asked.template.describe()["kind"],
        "begin_tokens": asked.bos_tokens,
        "end_tokens": asked.stop_tokens,
        "stop_texts": asked.template.stops,
        # All paths of a folder have them or none. None, not False, as in the folders made before there were any.
        "logprobs": config.logprobs or None,
    }
    return {**others, **how, **{name: getattr(config, name) for name in _OF_A_PATH}}


def template(config: SampleConfig, task: str) -> Template | None:
    """Returns the template that the settings ask for, or None: the model's own, or the task's.

    Args:
        config: of the run.
        task: whose reader reads the worked examples.

    Raises:
        UserError: an unknown template, or a file with too few problems to take the examples from.
    """
    if config.shots == 0:
        return known.load(config.template) if config.template else None
    assert config.shots_from is not None  # config_checks.sampling
    problems = read_problems(config.shots_from, tasks.load(task).reader)
    if config.shots > len(problems):
        raise UserError(
            f"shots = {config.shots}, but {config.shots_from} has {len(problems)} problems to take worked examples from"
        )
    return choose_shots(problems, config.shots, config.seed)


def compute_dtype(name: str) -> jnp.dtype:
    """Returns the dtype of the computation; `auto` is bfloat16, on CPU float32."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)
