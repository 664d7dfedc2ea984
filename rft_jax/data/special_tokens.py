"""Where a text begins and where it ends: one rule each, from all that a model folder says."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf import sidecars
from rft_jax.hf.config import CONFIG
from rft_jax.hf.sidecars import GENERATION
from rft_jax.task.template import Template


@dataclasses.dataclass(frozen=True)
class StopTokens:
    """What ends a response.

    Attributes:
        trained: id of the token that stands behind every response in training.
        sampled: ids of all tokens that end a sampled response; the trained one among them.
    """

    trained: int
    sampled: tuple[int, ...]


def bos_tokens(tokenizer: Any, template: Template) -> tuple[int, ...]:
    """Returns the tokens that the tokenizer itself puts before a text, for a template that begins with them."""
    return put_before(tokenizer) if template.begins else ()


def put_before(tokenizer: Any) -> tuple[int, ...]:
    """Returns the tokens that a tokenizer puts before a text.

    A tokenizer may know a bos token and not put it (SmolLM2's); then there is none. What one puts behind a text, an
    eos token for instance, is no part of a prompt.
    """
    alone = list(tokenizer("x", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("x")["input_ids"])
    for start in range(len(whole) - len(alone) + 1):
        if whole[start : start + len(alone)] == alone:
            return tuple(whole[:start])
    raise UserError("the tokenizer's post-processor changes the text's own tokens: which bos token it adds is unclear")


def refuse_other_family(folder: Path, tokenizer: Any) -> None:
    """Raises UserError if the model and the tokenizer of a folder begin a text with two tokens.

    So do the tokenizer of one family and the model of another, of which the text alone would tell nothing.
    """
    of_model, own = sidecars.token_ids(folder, (CONFIG,)).get("bos_token_id"), tokenizer.bos_token_id
    if of_model is not None and own is not None and of_model != own:
        raise UserError(
            f"{folder}: a text begins with token {json.dumps(of_model)} according to {CONFIG}, and with {own} "
            f"({tokenizer.bos_token!r:.40}) according to the tokenizer: is it another model's? Correct the "
            "wrong one, or give the begin token"
        )


def stop_tokens(folder: Path, tokenizer: Any, template: Template) -> StopTokens:
    """Returns what ends a response, for training, sampling and export alike.

    The token behind a trained response is the template's, if it has one, else the tokenizer's end-of-sequence token.
    A sampled response ends with any token that generation_config.json names, else config.json, else the tokenizer; and
    with the template's.

    Args:
        folder: of the model.
        tokenizer: a transformers tokenizer.
        template: what is asked.

    Raises:
        UserError: nothing names an eos token, or the trained one is none of those that sampling waits for.
    """
    named = {name: _eos(folder, name) for name in (GENERATION, CONFIG)}
    of_tokenizer = () if tokenizer.eos_token_id is None else (int(tokenizer.eos_token_id),)
    awaited = named[GENERATION] or named[CONFIG] or of_tokenizer
    text = template.end_text(tokenizer)
    if text is not None:
        trained = _number_of(text, tokenizer)
        return StopTokens(trained, tuple(dict.fromkeys((*awaited, trained))))
    if not awaited:
        raise UserError(
            f"{folder} names no eos token: set eos_token_id in {GENERATION}, or eos_token in tokenizer_config.json"
        )
    trained = of_tokenizer[0] if of_tokenizer else awaited[0]
    if trained not in awaited:
        # A model would learn to end with one token, and whoever samples from it would wait for another.
        raise UserError(
            f"{folder}: what ends a text is contradictory: {GENERATION} says {_told(named[GENERATION])}, {CONFIG} "
            f"{_told(named[CONFIG])}, the tokenizer {_told(of_tokenizer)}; correct the wrong one"
        )
    return StopTokens(trained, awaited)


def _eos(folder: Path, file: str) -> tuple[int, ...]:
    found = sidecars.token_ids(folder, (file,)).get("eos_token_id")
    found = found if isinstance(found, list) else [] if found is None else [found]
    if any(type(number) is not int or number < 0 for number in found):
        raise UserError(f"{folder / file}: eos_token_id is {json.dumps(found)}, not a token's number or a list of them")
    return tuple(found)


def _number_of(text: str, tokenizer: Any) -> int:
    number = tokenizer.convert_tokens_to_ids(text)
    if number is None or (number == tokenizer.unk_token_id and text != tokenizer.unk_token):
        raise UserError(f"the template ends a response with {text!r}, which is no token of the tokenizer")
    return int(number)


def _told(numbers: tuple[int, ...]) -> str:
    return " and ".join(map(str, numbers)) or "nothing"
