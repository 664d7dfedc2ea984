"""GSM8K asked through the tokenizer's own chat template; equations are found in plain text too."""

from rft_jax.task.equations import PLAIN
from rft_jax.task.reader import Reader
from rft_jax.task.task import Task
from rft_jax.task.templates.chat import Chat

TASK = Task(
    name="gsm8k_chat",
    reader=Reader(("question", "answer")),
    template=Chat(),
    grader="robust",
    audits=("reference",),
    equations=PLAIN,
)
