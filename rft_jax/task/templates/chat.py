"""The tokenizer's own chat template."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task.template import Piece, Template, special_texts, text_of

# Llama 3's templates write today's date otherwise, and tomorrow's prompts would be others.
_DATE = "26 Jul 2024"


@dataclasses.dataclass(frozen=True)
class Chat(Template):
    """The tokenizer's own chat template.

    Attributes:
        system: text of a first turn of the system, where the data have none of their own; or None.
    """

    system: str | None = None
    begins = False

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns the conversation up to where the assistant's turn begins."""
        turns = [*problem.history, ("user", problem.question)]
        if self.system is not None and turns[0][0] != "system":
            turns.insert(0, ("system", self.system))
        contents = [content for _, content in turns]
        whole = _render(tokenizer, turns, begin_answer=True)
        if not any(token in content for token in special_texts(tokenizer) for content in contents):
            return [Piece(whole, control=True)]
        # A content has a special token written in it: find out where each content stands, so that it stays text.
        marks = [f"\ue000{number}\ue001" for number in range(len(turns))]
        rest = _render(
            tokenizer, [(role, mark) for (role, _), mark in zip(turns, marks, strict=True)], begin_answer=True
        )
        pieces: list[Piece] = []
        for mark, content in zip(marks, contents, strict=True):
            before, found, rest = rest.partition(mark)
            written = len(text_of(pieces)) + len(before)
            # Some templates strip what stands in a turn.
            kept = content if whole.startswith(content, written) else content.strip()
            pieces += [Piece(before, control=True), Piece(kept if found else "", control=False)]
        pieces.append(Piece(rest, control=True))
        if text_of(pieces) != whole:
            raise UserError(
                "the chat template changes what stands in a turn, so the special token written there cannot be kept as "
                "text: remove it from the data"
            )
        return pieces

    def end_text(self, tokenizer: Any) -> str | None:
        """Returns the special token that the template writes behind an assistant's turn.

        Raises:
            UserError: it writes none, so nobody could tell where a response ends.
        """
        mark = "\ue000"
        text = _render(tokenizer, [("user", "?"), ("assistant", mark)], begin_answer=False)
        behind = text.partition(mark)[2].lstrip()
        ends = [token for token in special_texts(tokenizer) if behind.startswith(token)]
        if not ends:
            raise UserError(
                f"the chat template writes no special token behind an answer, but {behind[:40]!r}, so a model trained "
                "with it would not know how to end: use another template"
            )
        return max(ends, key=len)

    def as_chat_template(self, begin: str, own: str | None) -> str:
        """Returns the tokenizer's own, with this date and this system text."""
        assert own is not None, "it has asked with it"
        if "date_string" in own:
            own = f"{{%- set date_string = '{_DATE}' %}}{own}"
        if self.system is None:
            return own
        first = json.dumps([{"role": "system", "content": self.system}])
        return (
            f"{{%- if messages[0]['role'] != 'system' %}}{{%- set messages = {first} + messages %}}{{%- endif %}}{own}"
        )

    def describe(self) -> dict[str, Any]:
        """Returns the kind and the system text; the chat template itself lies with the tokenizer."""
        return {"kind": "chat", "system": self.system}


def _render(tokenizer: Any, turns: Sequence[tuple[str, str]], *, begin_answer: bool) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            "the tokenizer has no chat template: choose a task or template that does not need one "
            "(--config.template=paper), or add a chat_template to tokenizer_config.json"
        )
    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        text = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=begin_answer,
            date_string=_DATE,
        )
    except Exception as error:  # whatever a template raises, with texts of many lines
        reason = " ".join(str(error).split())
        raise UserError(f"the chat template cannot write this conversation: {reason[:200]}") from error
    return str(text)
