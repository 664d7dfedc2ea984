r"""MATH: `problem` and `solution`, the answer in \boxed{…}, LaTeX."""

from rft_jax.task.equations import PLAIN
from rft_jax.task.reader import Reader
from rft_jax.task.task import Task
from rft_jax.task.templates.chat import Chat

TASK = Task(
    name="math",
    reader=Reader(("problem", "solution"), ("question", "answer")),
    template=Chat(system="Please reason step by step, and put your final answer within \\boxed{}."),
    grader="boxed",
    audits=("latex",),
    equations=PLAIN,
    groups=("level", "type", "subject"),  # MATH-500 calls the type subject
)
