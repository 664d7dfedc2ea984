"""Prompts and examples, token by token: as JSON lines, or in colour for people."""

import json
from collections.abc import Callable, Iterator, Sequence

from rft_jax.data.encode import Encoder, Example
from rft_jax.data.examples import turns_of
from rft_jax.data.prompt_format import PromptFormat
from rft_jax.records.problem import Problem

_DIM, _BOLD, _GREEN, _REVERSE, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[32m", "\x1b[7m", "\x1b[0m"


def json_lines(encoder: Encoder, asked: PromptFormat, problems: Sequence[Problem], source: str) -> Iterator[str]:
    """Yields a JSON object per example: problem, prompt, example, loss_from and ends, tokens as numbers.

    A conversation has an example per turn of the assistant, all of one problem.

    Raises:
        UserError: a problem cannot be asked or trained on; see `Encoder`.
    """
    turns, rows = turns_of(problems, source)
    prompts, examples = encoder.prompts(turns, source, rows), encoder.examples(turns, source, rows)
    for row, prompt, example in zip(rows, prompts, examples, strict=True):
        fields = {
            "problem": row - 1,
            "prompt": prompt.tolist(),
            "example": example.tokens.tolist(),
            "loss_from": example.loss_from,
            "ends": list(asked.stop_tokens),
        }
        yield json.dumps(fields)


def for_people(
    encoder: Encoder, asked: PromptFormat, problems: Sequence[Problem], source: str, *, colour: bool
) -> Iterator[str]:
    """Yields lines that show each prompt and what is trained on behind it, a bar between tokens.

    Raises:
        UserError: as for `json_lines`.
    """
    paint = _painted if colour else _unpainted
    tokens = encoder.tokenizer.convert_ids_to_tokens

    def named(numbers: Sequence[int]) -> str:
        return ", ".join(f"{number} {tokens(number)!r}" for number in numbers) or "none"

    yield f"task {asked.task}, template {asked.template.describe()['kind']}, model name {asked.name}"
    yield f"bos: {named(asked.bos_tokens)}"
    yield (
        f"a trained response ends with {named([asked.eos_token])}; a sampled one at {named(asked.stop_tokens)}"
        + "".join(f", or before the text {stop!r}" for stop in asked.template.stops)
    )
    turns, rows = turns_of(problems, source)
    for row, example in zip(rows, encoder.examples(turns, source, rows), strict=True):
        prompt, response = example.loss_from, len(example.tokens) - example.loss_from
        yield paint(f"\nproblem {row - 1}: {prompt} tokens are asked, the loss is on the {response} behind them", _BOLD)
        yield _bars(encoder, example, paint)


def _bars(encoder: Encoder, example: Example, paint: Callable[[str, str], str]) -> str:
    special = set(encoder.tokenizer.all_special_ids)
    parts = []
    for place, token in enumerate(example.tokens.tolist()):
        shown = "".join(map(_visible, encoder.text_of_token(token)))
        style = _REVERSE if token in special else _GREEN if place >= example.loss_from else _DIM
        border = "┃" if place == example.loss_from else "|" if place else ""
        parts.append(border + paint(shown, style))
    return "".join(parts)


def _visible(letter: str) -> str:
    # What a file holds must not command the terminal.
    return "⏎\n" if letter == "\n" else letter if letter.isprintable() else repr(letter)[1:-1]


def _painted(text: str, style: str) -> str:
    return f"{style}{text}{_PLAIN}"


def _unpainted(text: str, style: str) -> str:
    return text
