"""Shows what a model is asked, token by token, and the training example made from it.

    python launch/tokens.py --model=DIR --problems=FILE [--task=NAME] [--count=N] [--json]

Training, sampling and evaluation use the same tokens: all call the same encoder.
"""

import sys

from absl import flags

from rft_jax import command, runtime
from rft_jax.data import prompt_format, show, tokenizer
from rft_jax.hf import config as hf_config
from rft_jax.hf import located
from rft_jax.records.problem import read_problems
from rft_jax.task import task as tasks
from rft_jax.task.templates import known

MODEL = flags.DEFINE_string("model", None, "Hugging Face folder, or hf:ORG/NAME[@REVISION].", required=True)
PROBLEMS = flags.DEFINE_string("problems", None, "Problems with gold responses.", required=True)
TASK = flags.DEFINE_string("task", None, "A shipped task or a Python file, and :COLUMNS; else the model's, or gsm8k.")
TEMPLATE = flags.DEFINE_string("template", None, "paper, chat, or a Jinja file, to override the task's.")
BEGIN_TOKEN = flags.DEFINE_integer("begin_token", None, "Id of the bos token before every prompt.", lower_bound=0)
COUNT = flags.DEFINE_integer("count", 3, "Number of problems to show, from the first.", lower_bound=1)
JSON = flags.DEFINE_bool("json", False, "Print a JSON line per problem, with tokens as ids.")


def main() -> None:
    """Reads the flags and prints the tokens."""
    runtime.log_on_process_zero(0)
    folder = located.settings(MODEL.value)
    architecture, loaded = hf_config.read(folder), tokenizer.load(folder)
    asked = prompt_format.choose(
        folder,
        loaded,
        name=None,
        task=TASK.value,
        template=known.load(TEMPLATE.value) if TEMPLATE.value else None,
        begin_token=BEGIN_TOKEN.value,
        end_tokens=None,
    )
    encoder = asked.encoder(loaded, architecture.vocabulary)
    problems = read_problems(PROBLEMS.value, tasks.load(asked.task).reader)[: COUNT.value]
    if JSON.value:
        lines = show.json_lines(encoder, asked, problems, PROBLEMS.value)
    else:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        lines = show.for_people(encoder, asked, problems, PROBLEMS.value, colour=terminal)
    command.show("\n".join(list(lines)))  # all or nothing: a later problem may be wrong


if __name__ == "__main__":
    command.run(main)
