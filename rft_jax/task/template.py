"""Templates: from a problem to what a model is asked, letter for letter, and what ends its response."""

import abc
import dataclasses
import functools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
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


def text_of(pieces: Sequence[Piece]) -> str:
    """Returns a prompt as one text."""
    return "".join(piece.text for piece in pieces)


@dataclasses.dataclass(frozen=True)
class Paper(Template):
    """The reference's instruction text, on every task of the paper."""

    begins = True
    BEFORE = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n"
    )
    # No space after the colon: the answer's first token follows at once, in training and in sampling alike.
    AFTER = "\n\n### Response:"

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns instruction, question and `### Response:`."""
        _refuse_history(problem, "paper")
        return [Piece(f"{self.BEFORE}{problem.question}{self.AFTER}", control=False)]

    def describe(self) -> dict[str, Any]:
        """Returns the kind."""
        return {"kind": "paper"}


@dataclasses.dataclass(frozen=True)
class Shots(Template):
    """Worked examples before the question, for a model that was only pre-trained.

    Attributes:
        examples: (question, response) of each.
    """

    examples: tuple[tuple[str, str], ...]
    begins = True
    # A model that continues such a prompt goes on to the next question; its answer ends where that begins.
    STOP = "\n\nQuestion:"

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns the examples, the question and `Answer:`."""
        _refuse_history(problem, "shots")
        return [Piece(f"{self._shown}Question: {problem.question}\nAnswer:", control=False)]

    @functools.cached_property
    def _shown(self) -> str:
        return "".join(f"Question: {question}\nAnswer: {response}\n\n" for question, response in self.examples)

    @property
    def stops(self) -> tuple[str, ...]:
        """The beginning of a next question."""
        return (self.STOP,)

    def describe(self) -> dict[str, Any]:
        """Returns the kind and the examples."""
        return {"kind": "shots", "examples": [list(example) for example in self.examples]}


def choose_shots(problems: Sequence[Problem], count: int, seed: int) -> Shots:
    """Returns a template with `count` of the problems as examples, the same for the same problems and seed.

    Raises:
        ValueError: there are fewer than `count` problems.
    """
    if count > len(problems):
        raise ValueError(f"{count} examples asked for, but there are {len(problems)} problems")
    chosen = random.Random(seed).sample(list(problems), count)
    return Shots(tuple((problem.question, problem.response) for problem in chosen))


@dataclasses.dataclass(frozen=True)
class Chat(Template):
    """The tokenizer's own chat template.

    Attributes:
        system: text of a first turn of the system, or None.
    """

    system: str | None = None
    begins = False

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns the conversation up to where the assistant's turn begins."""
        turns = [*([("system", self.system)] if self.system else []), *problem.history, ("user", problem.question)]
        contents = [content for _, content in turns]
        whole = _render(tokenizer, turns, begin_answer=True)
        if not any(token in content for token in _special_texts(tokenizer) for content in contents):
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
        ends = [token for token in _special_texts(tokenizer) if behind.startswith(token)]
        if not ends:
            raise UserError(
                f"the chat template writes no special token behind an answer, but {behind[:40]!r}, so a model trained "
                "with it would not know how to end: use another template"
            )
        return max(ends, key=len)

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
            # Llama 3's templates write today's date otherwise, and tomorrow's prompts would be others.
            date_string="26 Jul 2024",
        )
    except Exception as error:  # whatever a template raises, with texts of many lines
        reason = " ".join(str(error).split())
        raise UserError(f"the chat template cannot write this conversation: {reason[:200]}") from error
    return str(text)


def _special_texts(tokenizer: Any) -> list[str]:
    return [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]


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
        if any(token in content for token in _special_texts(tokenizer) for _, content in turns):
            raise UserError("a special token is written in the question, and a Jinja template cannot keep it as text")
        messages = [{"role": role, "content": content} for role, content in turns]
        return [Piece(self._rendered(tokenizer, problem.question, messages), control=True)]

    def _rendered(self, tokenizer: Any, question: str, messages: list[dict[str, str]]) -> str:
        import jinja2

        try:
            return _compiled(self.source).render(
                question=question, messages=messages, bos_token=tokenizer.bos_token, eos_token=tokenizer.eos_token
            )
        except jinja2.TemplateError as error:
            raise UserError(f"the Jinja template cannot write this problem: {error}") from error

    def end_text(self, tokenizer: Any) -> str | None:
        """Returns what the template sets as `end`."""
        end = self._set("end")
        return None if end is None else str(end)

    @property
    def stops(self) -> tuple[str, ...]:
        """What the template sets as `stop`."""
        return tuple(map(str, self._set("stop") or ()))

    def _set(self, name: str) -> Any:
        known = {"question": "?", "messages": [{"role": "user", "content": "?"}], "bos_token": "", "eos_token": ""}
        return getattr(_compiled(self.source).make_module(known), name, None)

    def describe(self) -> dict[str, Any]:
        """Returns the kind and the source."""
        return {"kind": "jinja", "source": self.source}


@functools.cache
def _compiled(source: str) -> Any:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # a template is data, which nobody may execute

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False)
    try:
        return environment.from_string(source)
    except jinja2.TemplateError as error:
        raise UserError(f"the Jinja template is wrong: {error}") from error


def _refuse_history(problem: Problem, kind: str) -> None:
    if problem.history:
        raise UserError(f"the data have several turns, which template '{kind}' cannot write: use template 'chat'")


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
        return Jinja(Path(name).read_text(encoding="utf-8"))
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
