"""How a model wants to be asked: kept beside its weights by training, taken by whoever samples from it."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from rft_jax.data import special_tokens
from rft_jax.data.encode import Encoder
from rft_jax.errors import UserError
from rft_jax.hf import sidecars
from rft_jax.hf.config import read_json
from rft_jax.records.problem import Problem
from rft_jax.task import task as tasks
from rft_jax.task.template import Template
from rft_jax.task.templates import known

log = logging.getLogger(__name__)

FILE = sidecars.PROMPT_FORMAT


@dataclasses.dataclass(frozen=True)
class PromptFormat:
    """How a model is asked.

    Attributes:
        name: of the model, in the paths that it samples.
        task: name or file of the task; it reads and judges.
        template: from a question to a prompt.
        bos_tokens: ids of the tokens before a prompt.
        eos_token: id of the token after a response in training.
        stop_tokens: ids of all tokens that end a sampled response.
    """

    name: str
    task: str
    template: Template
    bos_tokens: tuple[int, ...]
    eos_token: int
    stop_tokens: tuple[int, ...]

    def encoder(self, tokenizer: Any, vocabulary: int) -> Encoder:
        """Returns what makes its tokens, for a model that knows `vocabulary` of them.

        Raises:
            UserError: the tokenizer has more tokens, not counting added ones; or there is an end token that the model
                never gives, or a stop text that is empty.
        """
        if not all(isinstance(stop, str) and stop for stop in self.template.stops):
            raise UserError(
                f"the template's stop texts are {self.template.stops!r:.60}: each must have at least 1 character, as "
                "an empty one would end every response at once"
            )
        if (made := tokenizer.vocab_size) > vocabulary:
            raise UserError(
                f"the tokenizer has {made} tokens and the model's embedding {vocabulary}: it is another model's "
                "tokenizer; take the one of this model"
            )
        for token in self.stop_tokens:
            if not 0 <= token < vocabulary:
                raise UserError(f"the stop token {token} is no token of the model, which has {vocabulary}, from 0")
        return Encoder(
            tokenizer, self.template, bos_tokens=self.bos_tokens, eos_token=self.eos_token, vocabulary=vocabulary
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the values of FILE.

        Raises:
            UserError: the template cannot be rebuilt from them, so nobody could sample from the model.
        """
        described = self.template.describe()
        try:
            same = known.from_description(json.loads(json.dumps(described))) == self.template
        except (TypeError, ValueError):
            same = False
        if not same:
            raise UserError(
                f"{FILE} cannot keep a template of class {type(self.template).__name__}: write it as a Jinja template"
            )
        return {
            "name": self.name, "task": self.task, "template": described, "begin": self.bos_tokens,
            "end": self.eos_token, "ends": self.stop_tokens,
        }  # fmt: skip


def read(folder: Path) -> PromptFormat | None:
    """Returns how the model of a folder wants to be asked, None if the folder does not say.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / FILE
    if not file.exists():
        return None
    fields = read_json(file)
    try:
        return PromptFormat(
            name=_text(fields["name"]),
            task=_text(fields["task"]),
            template=known.from_description(fields["template"]),
            bos_tokens=_numbers(fields["begin"]),
            eos_token=_numbers([fields["end"]])[0],
            stop_tokens=_numbers(fields["ends"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is damaged ({type(error).__name__}: {error}): export the model anew") from None


def _numbers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise ValueError(f"{json.dumps(values)} is no list of token numbers")
    return tuple(values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{json.dumps(value)} is no text")
    return value


def task_of(folder: Path, given: str | None) -> str:
    """Returns the task that is given, else the model's own, else the default: a name, or a file's absolute path.

    Of a given task that is columns only, `:QUESTION,RESPONSE`, the rest is the model's own.
    """
    own = read(folder)
    told, asked = tasks.Reference.parse(given or ""), tasks.Reference.parse(own.task if own else tasks.DEFAULT)
    if not told.name and asked.file and not Path(asked.file).is_file():
        raise UserError(f"the task of {folder} was {asked.file}, which is not there now: name the task, or where it is")
    made = tasks.Reference(told.name or asked.name, told.columns or (() if told.name else asked.columns))
    return str(made.placed())


def name_of(folder: Path, given: str | None) -> str:
    """Returns the name of a model that is given, else its own, else the folder's."""
    own = read(folder)
    return given or (own.name if own else folder.resolve().name)


def choose(
    folder: Path,
    tokenizer: Any,
    *,
    name: str | None,
    task: str | None,
    template: Template | None,
    begin_token: int | None,
    end_tokens: tuple[int, ...] | None,
) -> PromptFormat:
    """Returns how to ask the model of a folder: as it says itself, but for what is given.

    Args:
        folder: of the model.
        tokenizer: its own, or the one in its place.
        name, task, template, begin_token, end_tokens: None is the model's own, else the default: the folder's name, the
            task `gsm8k`, the task's template, what the tokenizer itself puts before a text, and
            `special_tokens.stop_tokens`.

    Raises:
        UserError: see `tasks.load` and `special_tokens`; or the folder contradicts itself.
    """
    own = read(folder)
    task = task_of(folder, task)
    if template is None:
        template = tasks.load(task).template
        # A model of this task may have been trained with another template, or the task's file was edited since.
        same = own is not None and tasks.Reference.parse(own.task).name == tasks.Reference.parse(task).name
        if own is not None and same and own.template != template:
            log.info("the model is asked by the template that it was trained with, not by that of its task, %s", task)
            template = own.template
    as_trained = own is not None and own.template == template
    if begin_token is not None:
        bos_tokens: tuple[int, ...] = (begin_token,)
    elif own is not None and as_trained:
        bos_tokens = own.bos_tokens
    else:
        special_tokens.refuse_other_family(folder, tokenizer)
        bos_tokens = special_tokens.bos_tokens(tokenizer, template)
    if end_tokens:
        eos_token, stop_tokens = end_tokens[0], end_tokens
    else:
        found = special_tokens.stop_tokens(folder, tokenizer, template)
        eos_token, stop_tokens = found.trained, found.sampled
    if own is not None:
        if as_trained and not end_tokens and (eos_token, set(stop_tokens)) != (own.eos_token, set(own.stop_tokens)):
            raise UserError(
                f"{folder} contradicts itself: {FILE} says that a response ends with {own.eos_token} "
                f"{own.stop_tokens}, its other files say {eos_token} {stop_tokens}; export the model again, or give "
                "--config.end_tokens"
            )
        _tell_differences(own, task, template, bos_tokens, stop_tokens)
    return PromptFormat(name_of(folder, name), task, template, bos_tokens, eos_token, stop_tokens)


def _tell_differences(
    own: PromptFormat, task: str, template: Template, bos_tokens: tuple[int, ...], stop_tokens: tuple[int, ...]
) -> None:
    pairs = {
        "task": (own.task, task),
        "template": (own.template.describe()["kind"], template.describe()["kind"]),
        "bos tokens": (own.bos_tokens, bos_tokens),
        "stop tokens": (own.stop_tokens, stop_tokens),
    }
    different = [f"{name} {before}, now {now}" for name, (before, now) in pairs.items() if before != now]
    if own.template != template and own.template.describe()["kind"] == template.describe()["kind"]:
        different.append("another text in its template")
    if different:
        log.info("the model was trained to be asked otherwise: %s", "; ".join(different))


def chat_template(encoder: Encoder) -> str:
    """Returns a chat template that makes transformers and vLLM ask with one user turn exactly as `encoder` does.

    Raises:
        UserError: there is none; whoever samples by `messages` would ask otherwise than the model was trained.
    """
    tokenizer, before = encoder.tokenizer, encoder.tokenizer.chat_template
    own = before.get("default") if isinstance(before, dict) else before  # some have several, for tools for instance
    probes = [Problem("How many?", ""), Problem("A “5”\n\n x", "")]
    wanted = [ids.tolist() for ids in encoder.prompts(probes, "probe")]
    bos = "".join(tokenizer.convert_ids_to_tokens(list(encoder.bos_tokens)))
    # Behind a special token some SentencePiece tokenizers drop the space that they put before a text.
    for text in (bos, f"{bos} "):
        written = encoder.template.as_chat_template(text, own)
        try:
            tokenizer.chat_template = written
            if [_asked(tokenizer, problem.question) for problem in probes] == wanted:
                return written
        finally:
            tokenizer.chat_template = before
    raise UserError("no chat template makes this tokenizer write the prompt that the model is trained on")


def _asked(tokenizer: Any, question: str) -> list[int]:
    messages = [{"role": "user", "content": question}]
    ids = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
    return list(map(int, ids))
