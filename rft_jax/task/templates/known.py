"""The templates by name, and from what is kept of them beside a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.task.template import Template
from rft_jax.task.templates.chat import Chat
from rft_jax.task.templates.jinja import Jinja
from rft_jax.task.templates.paper import Paper
from rft_jax.task.templates.shots import Shots


def load(name: str) -> Template:
    """Returns the template of a name, `paper` or `chat`, or of a Jinja file.

    Raises:
        UserError: an unknown name, or no such file.
    """
    match name:
        case "paper":
            return Paper()
        case "chat":
            return Chat()
    if not name.endswith((".jinja", ".jinja2", ".j2")):
        raise UserError(f"no template is called '{name}'; known: paper, chat, or a file FILE.jinja")
    try:
        return Jinja(Path(name).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the template {name}: {error}") from error


def from_description(fields: Mapping[str, Any]) -> Template:
    """Returns the template that `describe` told of.

    Raises:
        ValueError: it told of none.
    """
    match dict(fields):
        case {"kind": "paper"}:
            return Paper()
        case {"kind": "chat", "system": system}:
            return Chat(system)
        case {"kind": "shots", "examples": examples}:
            return Shots(tuple((str(question), str(response)) for question, response in examples))
        case {"kind": "jinja", "source": str(source)}:
            return Jinja(source)
    raise ValueError(f"no template is described by {dict(fields)}")
