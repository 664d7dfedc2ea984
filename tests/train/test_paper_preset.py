"""Preset `paper` beside the reference's procedure in torch: tokens, mask, cut, begin token and mean of means."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import sft
from rft_jax.config import MeshConfig
from rft_jax.data import tokenizer as tokenizers
from rft_jax.hf import config as hf_config
from rft_jax.hf import pretrained
from rft_jax.records.problem import read_problems
from rft_jax.task.templates.paper import instruction
from rft_jax.train import assemble, loop
from tests.train.conftest import tiny_problems


def micro_batch(torch, tokenizer, problems, limit):
    """Returns what the reference's collator makes: ids, labels and attention mask, padded at the right."""
    ids, labels = [], []
    for problem in problems:
        source = instruction(problem.question)
        whole = tokenizer(source + problem.response + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        whole = torch.tensor([tokenizer.eos_token_id, *whole][:limit])  # its bos token is </s>
        known = 1 + len(tokenizer(source, add_special_tokens=False)["input_ids"])
        ids.append(whole)
        labels.append(torch.where(torch.arange(len(whole)) < known, -100, whole))
    pad = torch.nn.utils.rnn.pad_sequence
    mask = pad([torch.ones_like(row) for row in ids], batch_first=True)
    return {
        "input_ids": pad(ids, batch_first=True),
        "labels": pad(labels, batch_first=True, padding_value=-100),
        "attention_mask": mask,
    }


@pytest.fixture
def sharp_model(model_folder, tmp_path):
    """The tiny model with larger weights, so that its losses differ from text to text."""
    model = pretrained.load(model_folder, dtype=None, stacked=True)
    model = jax.tree.map(lambda x: 4 * x if x.ndim > 1 else x, model)
    pretrained.save(model, tmp_path / "sharp", tokenizer_from=model_folder, dtype=jnp.dtype(jnp.float32))
    return tmp_path / "sharp"


def test_the_first_loss_is_the_references(sharp_model, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    data = tmp_path / "data.jsonl"
    rows = [row | {"response": number % 7 * "So " + row["response"]} for number, row in enumerate(tiny_problems(40))]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = read_problems(data)
    tokenizer = transformers.AutoTokenizer.from_pretrained(sharp_model)
    lengths = [len(tokenizer(instruction(each.question) + each.response)["input_ids"]) + 2 for each in problems]
    limit = sorted(lengths)[30]  # cuts the ten longest
    assert limit < max(lengths)
    config = dataclasses.replace(
        sft.get_config("llama2-7b:paper"), model=str(sharp_model), data=str(data), batch=16, epochs=1,
        learning_rate=0.0, max_length=limit, row_length=256, mesh=MeshConfig(1, 8, 1),
    )  # fmt: skip
    loop.train(config, tmp_path / "run", command="the command")
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])

    loaded = tokenizers.load(sharp_model)
    asked = assemble.make_prompt_format(config, sharp_model, loaded, "run")
    batches, _ = assemble.make_batches(config, asked, loaded, hf_config.read(sharp_model), data_parallel_size=8)
    model = transformers.LlamaForCausalLM.from_pretrained(sharp_model, dtype=torch.float32)
    groups = batches.numbers(0).reshape(-1, sft.REFERENCE_LOSS_GROUP["llama2-7b"])
    assert groups.shape == (4, 4)
    with torch.no_grad():
        parts = [micro_batch(torch, tokenizer, [problems[number] for number in group], limit) for group in groups]
        losses = [model(**part).loss.item() for part in parts]
    np.testing.assert_allclose(first["loss"], np.mean(losses), rtol=1e-5)
    tokens = [int((part["labels"] != -100).sum()) for part in parts]
    assert (
        abs(np.average(losses, weights=tokens) - first["loss"]) > 1e-4 * first["loss"]
    )  # a token mean would be another
