"""The loop with a chat template: data of several turns, a tokenizer without a begin token, equations in plain text."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

from configs import evaluate as evaluate_config
from configs import sample as sample_config
from configs import sft
from rft_jax.config import MeshConfig
from rft_jax.data import tokenizer as tokenizers
from rft_jax.evaluate.loop import evaluate
from rft_jax.hf import pretrained
from rft_jax.model import architecture
from rft_jax.model.llama import Llama
from rft_jax.records.path import read_paths
from rft_jax.records.problem import read_problems
from rft_jax.sample.loop import sample
from rft_jax.select.selection import select
from rft_jax.task import gsm8k_chat
from rft_jax.train import loop
from tests import tokenizers as sample_tokenizers

MESH = MeshConfig(data=1, fsdp=8, tensor=1)


def rows(count):
    """Additions, asked in one turn or behind another one."""
    for number in range(count):
        a, b = number % 7, number // 7
        turns = [{"role": "user", "content": f"What is {a} + {b}?"}]
        if number % 3 == 0:
            turns = [
                {"role": "user", "content": "Are you there?"},
                {"role": "assistant", "content": "Yes."},
                *turns,
            ]
        answer = f"{a} + {b} = {a + b}\n#### {a + b}"
        yield {"messages": [*turns, {"role": "assistant", "content": answer}]}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random tiny model with a tokenizer as Qwen's: ChatML, no begin token, an end token of its own for turns."""
    folder = sample_tokenizers.load("qwen-like", tmp_path_factory.mktemp("tokenizer")).folder
    vocabulary = len(tokenizers.load(folder))
    config = dataclasses.replace(architecture.size("tiny"), vocabulary=vocabulary)
    model = Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True)
    target = tmp_path_factory.mktemp("models") / "base"
    pretrained.save(model, target, tokenizer_from=folder, dtype=jnp.dtype(jnp.float32))
    return target


@pytest.mark.slow
def test_train_sample_select_evaluate(base, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows(35)))
    config = dataclasses.replace(
        sft.get_config(), model=str(base), data=str(data), task="gsm8k_chat", epochs=130, batch=24, learning_rate=1e-2,
        max_length=128, row_length=128, loss_chunk=64, remat="none", save_every=10**6, mesh=MESH,
    )  # fmt: skip
    loop.train(config, tmp_path / "run", command="train")
    model = tmp_path / "run" / "model"
    # The turn's end, and the base model's own, both end a response; whoever reads the folder finds them.
    asked = json.loads((model / "prompt_format.json").read_text())
    loaded = tokenizers.load(model)
    assert (asked["name"], asked["task"], asked["begin"]) == ("run", "gsm8k_chat", [])
    assert asked["end"] == loaded.convert_tokens_to_ids("<|im_end|>")
    assert set(asked["ends"]) == {asked["end"], loaded.eos_token_id}
    for name in ("config.json", "generation_config.json"):
        ends = json.loads((model / name).read_text())["eos_token_id"]
        assert (ends if isinstance(ends, list) else [ends]) == asked["ends"]

    # Asked as it was trained, without a word on how.
    settings = dataclasses.replace(
        sample_config.get_config(), model=str(model), problems=str(data), k=2, max_new_tokens=40
    )
    sample(settings, tmp_path / "paths")
    files = sorted((tmp_path / "paths" / "paths").glob("*.jsonl"))
    paths = [path for file in files for path in read_paths(file)]
    assert {path.model for path in paths} == {"run"}
    assert sum(path.finish == "eos" for path in paths) > 0.9 * len(paths)
    assert not any("<|im" in path.response for path in paths)

    result = select(
        str(data), [str(tmp_path / "paths" / "paths" / "*.jsonl")], str(tmp_path / "set.jsonl"),
        task="gsm8k_chat", rules="paper", ks=[], workers=1,
    )  # fmt: skip
    united = result["united"]
    assert united["correct"] > 50
    assert united["distinct"] >= 30  # one list of equations per problem, found without annotations

    # What is selected is asked as it was sampled: the turns before the question go along, and are not trained on again.
    problems = read_problems(data, gsm8k_chat.TASK.reader)
    selected = read_problems(tmp_path / "set.jsonl", gsm8k_chat.TASK.reader)
    assert {problem.history for problem in selected} == {problem.history for problem in problems} != {()}
    assert not any(problem.train_history for problem in selected)

    told = dataclasses.replace(evaluate_config.get_config(), model=str(model), problems=str(data), max_new_tokens=40)
    evaluate(told, tmp_path / "evaluation")
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert (metrics["grader"], metrics["task"], metrics["name"]) == ("robust", "gsm8k_chat", "run")
    assert metrics["graders"]["robust"]["maj1@1"]["mean"] > 0.9
