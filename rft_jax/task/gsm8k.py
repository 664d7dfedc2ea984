"""GSM8K as the paper has it: the reference's instruction text, `#### number`, equations between << and >>."""

from rft_jax.task.equations import ANNOTATED
from rft_jax.task.reader import Reader
from rft_jax.task.task import Task
from rft_jax.task.templates.paper import Paper

TASK = Task(
    name="gsm8k",
    reader=Reader(("question", "answer")),
    template=Paper(),
    grader="reference",
    audits=("robust",),
    equations=ANNOTATED,
)
