"""The cost of making examples, compared with the tokenizer alone on the same texts in one run.

The peer is transformers' tokenizer, called once on every prompt with its response, which is the least that must be
done; ours tokenises prompts and responses separately, adds bos and eos, and decodes every response to check that it
comes back. The two take turns on parts of the rows; processor time of all threads is compared.
"""

import os
import platform
import statistics
import time
from pathlib import Path

from rft_jax.data import prompt_format, tokenizer
from rft_jax.data.encode import Encoder
from rft_jax.hf import config as hf_config
from rft_jax.records.problem import Problem, read_problems
from rft_jax.task.template import text_of

_ROUNDS = 3
_PART = 5_000  # rows


def run(folder: Path, data: str, rows: int) -> list[str]:
    """Measures, and returns the lines of the report.

    Args:
        folder: folder of the model whose tokenizer is measured.
        data: problems, such as GSM8K's.
        rows: rows in the imitated selected set, in which each question comes many times.

    Raises:
        UserError: the model or the problems are missing.
    """
    loaded = tokenizer.load(folder)
    asked = prompt_format.choose(folder, loaded, name=None, task=None, template=None, begin_token=None, end_tokens=None)
    encoder = asked.encoder(loaded, hf_config.read(folder).vocabulary)
    problems = read_problems(data)
    each = -(-rows // len(problems))
    answers = ((problem, number) for problem in problems for number in range(each))
    selected = [Problem(problem.question, f"Way {number}: {problem.response}") for problem, number in answers]
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    return [
        f"{machine}; tokenizer of {folder.name}",
        _side_by_side("gold rows, each question once", encoder, problems),
        _side_by_side("like a selected set", encoder, selected[:rows]),
    ]


def _side_by_side(title: str, encoder: Encoder, problems: list[Problem]) -> str:
    texts = [text_of(encoder.template.prompt(problem, encoder.tokenizer)) + problem.response for problem in problems]
    parts = [slice(start, start + _PART) for start in range(0, len(problems), _PART)]
    ratios: list[float] = []
    for _ in range(_ROUNDS):
        theirs = ours = 0.0
        for part in parts:
            before = time.process_time()
            encoder.tokenizer(texts[part])
            between = time.process_time()
            encoder.examples(problems[part], "rows")
            theirs += between - before
            ours += time.process_time() - between
        ratios.append(ours / theirs)
    return (
        f"{title}: {len(problems):,} rows, tokenizer {theirs:.1f} s of processor time, examples {ours:.1f} s: "
        f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
    )
