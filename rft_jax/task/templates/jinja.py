"""A Jinja template of the user's own."""

import dataclasses
import functools
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task.template import Piece, Template, special_texts


@dataclasses.dataclass(frozen=True)
class Jinja(Template):
    """A Jinja template of the user's, which sees `question`, `messages`, `bos_token` and `eos_token`.

    It writes the begin token itself if it wants one. `{% set stop = ["\\n\\nQ:"] %}` names texts that end a response,
    and `{% set end = "<|im_end|>" %}` the special token that does, if not the tokenizer's end-of-sequence token.

    Attributes:
        source: of the template.
    """

    source: str
    begins = False

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns what the template writes."""
        turns = [*problem.history, ("user", problem.question)]
        if any(token in content for token in special_texts(tokenizer) for _, content in turns):
            raise UserError("a special token is written in the question, and a Jinja template cannot keep it as text")
        messages = [{"role": role, "content": content} for role, content in turns]
        return [Piece(self._rendered(tokenizer, problem.question, messages), control=True)]

    def _rendered(self, tokenizer: Any, question: str, messages: list[dict[str, str]]) -> str:
        try:
            return self._fresh().render(
                question=question, messages=messages, bos_token=tokenizer.bos_token, eos_token=tokenizer.eos_token
            )
        except Exception as error:  # whatever a template raises
            raise UserError(f"the Jinja template cannot write this problem: {' '.join(str(error).split())}") from error

    def end_text(self, tokenizer: Any) -> str | None:
        """Returns what the template sets as `end`."""
        end = self._set("end")
        return None if end is None else str(end)

    @property
    def stops(self) -> tuple[str, ...]:
        """What the template sets as `stop`: a list of texts, or one text."""
        found = self._set("stop")
        stops = [] if found is None else [found] if isinstance(found, str) else found
        if not isinstance(stops, list | tuple) or not all(isinstance(stop, str) and stop for stop in stops):
            raise UserError(f"the Jinja template sets stop to {found!r:.60}, not to texts that end a response")
        return tuple(stops)

    def _set(self, name: str) -> Any:
        known = {"question": "?", "messages": [{"role": "user", "content": "?"}], "bos_token": "", "eos_token": ""}
        try:
            return getattr(self._fresh().make_module(known), name, None)
        except Exception as error:  # whatever a template raises
            raise UserError(f"the Jinja template fails on '?': {' '.join(str(error).split())}") from error

    def _fresh(self) -> Any:
        compiled = _compiled(self.source)
        compiled.environment.steps = 0
        return compiled

    def as_chat_template(self, begin: str, own: str | None) -> str:
        """Returns the template with the last turn as its question."""
        return f"{{%- set question = messages[-1]['content'] -%}}{self.source}"

    def describe(self) -> dict[str, Any]:
        """Returns the kind and the source."""
        return {"kind": "jinja", "source": self.source}


@functools.cache
def _compiled(source: str) -> Any:
    import jinja2

    from rft_jax.task.templates.sandbox import Sandbox  # late, as jinja2 itself: most templates need neither

    try:
        return Sandbox().from_string(source)
    except jinja2.TemplateError as error:
        raise UserError(f"the Jinja template is wrong: {error}") from error
