"""How a model wants to be asked: written by training, read by us and by transformers alike."""

import dataclasses
import json
import logging
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import transformers

from rft_jax.data import prompt_format
from rft_jax.data import tokenizer as tokenizers
from rft_jax.errors import UserError
from rft_jax.hf import pretrained
from rft_jax.hf.names import shapes
from rft_jax.hf.sidecars import PromptSidecar
from rft_jax.model import architecture
from rft_jax.records.problem import Problem
from rft_jax.task.templates.chat import Chat
from rft_jax.task.templates.jinja import Jinja
from rft_jax.task.templates.paper import Paper
from tests import tokenizers as sample_tokenizers

QUESTIONS = ("How many apples?", "a  b   c, and\n\n  5?", " x ")
DEFAULTS: dict = {"name": None, "task": None, "template": None, "begin_token": None, "end_tokens": None}


def export(source, target, template):
    """Writes a model trained with a template, as training does, and returns what made its prompts."""
    loaded = tokenizers.load(source)
    asked = prompt_format.choose(source, loaded, **DEFAULTS | {"name": "run", "task": "gsm8k", "template": template})
    config = dataclasses.replace(architecture.size("tiny"), vocabulary=len(loaded))
    encoder = asked.encoder(loaded, config.vocabulary)
    weights = ((name, np.zeros(shape, np.float16)) for name, shape in shapes(config).items())
    sidecar = PromptSidecar(asked.to_json(), prompt_format.chat_template(encoder), asked.stop_tokens)
    pretrained.write(target, config, weights, tokenizer_from=source, dtype=jnp.dtype(jnp.float16), prompt=sidecar)
    return encoder


def qwen_like(scratch, **fields):
    folder = scratch / "source"
    shutil.copytree(sample_tokenizers.load("qwen-like", scratch).folder, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | fields))
    return folder


@pytest.mark.parametrize("template", [Paper(), Chat()], ids=lambda template: template.describe()["kind"])
@pytest.mark.parametrize("name", ["qwen-like", "llama2-like-legacy", "llama2", "llama2-legacy", "llama2-end-added"])
def test_an_exported_model_is_asked_alike_by_us_and_by_transformers(name, template, tmp_path):
    encoder = export(sample_tokenizers.load(name, tmp_path).folder, tmp_path / "model", template)
    wanted = [ids.tolist() for ids in encoder.prompts([Problem(question, "") for question in QUESTIONS], "f")]
    ours = tokenizers.load(tmp_path / "model")
    asked = prompt_format.choose(tmp_path / "model", ours, **DEFAULTS)
    again = asked.encoder(ours, len(ours)).prompts([Problem(question, "") for question in QUESTIONS], "f")
    assert [ids.tolist() for ids in again] == wanted
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert [
        theirs.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        for question in QUESTIONS
    ] == wanted


@pytest.mark.parametrize("system", [None, "Be good."])
def test_of_several_chat_templates_the_default_one_is_asked_and_kept(system, tmp_path):
    own = json.loads((qwen_like(tmp_path / "plain") / "tokenizer_config.json").read_text())["chat_template"]
    several = [{"name": "default", "template": own}, {"name": "tool_use", "template": "tools"}]
    encoder = export(qwen_like(tmp_path, chat_template=several), tmp_path / "model", Chat(system))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    messages = [{"role": "user", "content": "How many?"}]
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == encoder.prompts([Problem("How many?", "")], "f")[0].tolist()
    assert isinstance(theirs.chat_template, str)


def test_a_system_turn_of_the_data_is_asked_by_transformers_as_in_training(tmp_path):
    encoder = export(qwen_like(tmp_path), tmp_path / "model", Chat("Be good."))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == encoder.prompts([Problem("How many?", "", (("system", "Be brief."),))], "f")[0].tolist()


def test_a_model_reads_other_fields_and_is_asked_as_it_was_trained(tmp_path):
    encoder = export(qwen_like(tmp_path), tmp_path / "model", Chat(system="Be brief."))
    loaded = tokenizers.load(tmp_path / "model")
    for given in (":ask,gold", "gsm8k:ask,gold"):
        asked = prompt_format.choose(tmp_path / "model", loaded, **DEFAULTS | {"task": given})
        assert (asked.task, asked.template) == ("gsm8k:ask,gold", encoder.template)
    assert prompt_format.task_of(tmp_path / "model", "math") == "math"


def test_other_ends_that_come_with_another_template_are_told(tmp_path, caplog):
    export(qwen_like(tmp_path), tmp_path / "model", Paper())
    loaded = tokenizers.load(tmp_path / "model")
    other = Jinja('{% set end = "<|endoftext|>" %}{{ question }}')
    with caplog.at_level(logging.INFO):
        asked = prompt_format.choose(tmp_path / "model", loaded, **DEFAULTS | {"template": other})
    assert asked.stop_tokens == (2, 0)
    assert "template paper, now jinja; stop tokens (2,), now (2, 0)" in caplog.text


def test_a_template_that_cannot_be_kept_is_refused_before_training():
    class Shouting(Paper):
        def prompt(self, problem, tokenizer):
            return super().prompt(dataclasses.replace(problem, question=problem.question.upper()), tokenizer)

    asked = prompt_format.PromptFormat("m", "gsm8k", Shouting(), (), 2, (2,))
    with pytest.raises(UserError, match="cannot keep a template of class Shouting: write it as a Jinja template"):
        asked.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"name": None}, {"name": ["a"]}, {"task": 5}, {"begin": 1}, {"begin": ["<s>"]}, {"begin": [True]},
        {"end": None},
        {"ends": None}, {"template": 5}, {"template": {"kind": "x"}}, {"template": {"kind": "shots", "examples": 5}},
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(change, tmp_path):
    good = prompt_format.PromptFormat("m", "gsm8k", Paper(), (1,), 2, (2,))
    (tmp_path / prompt_format.FILE).write_text(json.dumps(good.to_json()))
    assert prompt_format.read(tmp_path) == good
    (tmp_path / prompt_format.FILE).write_text(json.dumps(good.to_json() | change))
    with pytest.raises(UserError, match=r"prompt_format\.json is damaged"):
        prompt_format.read(tmp_path)


class _EndsAtOnce(Paper):
    @property
    def stops(self):
        return ("\n\n", "")


def test_an_empty_stop_text_is_refused(tmp_path):
    folder = sample_tokenizers.load("embedded", tmp_path).folder
    loaded = tokenizers.load(folder)
    asked = prompt_format.choose(folder, loaded, **DEFAULTS | {"template": _EndsAtOnce()})
    with pytest.raises(UserError, match=r"stop texts are .* an empty one would end every response at once"):
        asked.encoder(loaded, len(loaded))
