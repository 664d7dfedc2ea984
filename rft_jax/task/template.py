"""Templates: from a problem to what a model is asked, letter for letter, and what ends its response."""

import abc
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt.

    Attributes:
        text: of the part.
        control: whether special tokens written in it (`<|im_start|>`) are meant as such: in a template they are, in a
            question they are text.
    """

    text: str
    control: bool


class Template(abc.ABC):
    """Asks a model. Values of a class with the same fields ask the same.

    Attributes:
        begins: whether the begin token that the tokenizer adds, if any, stands before the prompt; a chat template
            writes its own.
    """

    begins: bool

    @abc.abstractmethod
    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns the prompt; the response follows at once.

        Args:
            problem: to ask.
            tokenizer: a transformers tokenizer; the text may depend on it, as a chat template does.

        Raises:
            UserError: this template cannot ask this problem with this tokenizer.
        """

    def end_text(self, tokenizer: Any) -> str | None:
        """Returns the text of the special token that ends a response; None: the tokenizer's end-of-sequence token."""
        return None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end a response before its end token, and are no part of it."""
        return ()

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns JSON values from which `from_description` makes the same template."""

    @abc.abstractmethod
    def as_chat_template(self, begin: str, own: str | None) -> str:
        """Returns a Jinja chat template that writes the same prompt for `messages` of one user turn.

        Args:
            begin: text of the begin tokens.
            own: the tokenizer's chat template, None if it has none.
        """


def text_of(pieces: Sequence[Piece]) -> str:
    """Returns a prompt as one text."""
    return "".join(piece.text for piece in pieces)


def special_texts(tokenizer: Any) -> list[str]:
    """Returns how the special tokens of a tokenizer are written."""
    return [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]


def around_turns(begin: str, before: str, after: str) -> str:
    """Returns a Jinja chat template that writes each user's turn between two texts."""
    begin, before, after = (json.dumps(text, ensure_ascii=False) for text in (begin, before, after))
    return (
        f"{{{{- {begin} }}}}"
        "{%- for message in messages %}"
        f"{{%- if message['role'] == 'user' %}}{{{{- {before} + message['content'] + {after} }}}}"
        "{%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token }}"
        "{%- else %}{{- raise_exception('this model knows turns of user and assistant only') }}{%- endif %}"
        "{%- endfor %}"
    )


def refuse_history(problem: Problem, kind: str) -> None:
    """Raises UserError if there are turns before the question, which a template of this kind cannot write."""
    if problem.history:
        raise UserError(f"the data have several turns, which template '{kind}' cannot write: use template 'chat'")
