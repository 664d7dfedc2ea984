"""Tiny models with tokenizers: one random, one that knows additions by heart."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
import transformers

from rft_jax.hf import pretrained
from rft_jax.model import architecture
from rft_jax.model.llama import Llama

END = 2


def save_tokenizer(folder: Path, texts: list[str], size: int) -> None:
    """Trains a byte-level tokenizer with Llama's special tokens: 0 unknown, 1 begin, 2 end."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<unk>", "<s>", "</s>"],
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)


def questions(count: int) -> list[dict[str, str]]:
    """Word problems of mixed lengths."""
    random = np.random.default_rng(0)
    things = ["apples", "red pencils", "small wooden boxes", "sheets of paper that were folded twice"]
    lines = []
    for _ in range(count):
        a, b = random.integers(0, 50, 2).tolist()
        middle = " They are counted." * int(random.integers(0, 4))
        thing = things[int(random.integers(len(things)))]
        lines.append(
            {
                "question": f"There are {a} {thing}.{middle} {b} more come. How many {thing} are there now?",
                "answer": f"{a} + {b} = <<{a}+{b}={a + b}>>{a + b}\n#### {a + b}",
            }
        )
    return lines


@pytest.fixture(scope="session")
def problems_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 problems in GSM8K's format."""
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in questions(64)))
    return path


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random `tiny-gqa` with a tokenizer; large weights, so that its distributions are neither flat nor sure."""
    tokenizer = tmp_path_factory.mktemp("tokenizer")
    texts = [line["question"] + line["answer"] for line in questions(200)]
    save_tokenizer(tokenizer, [*texts, "Below is an instruction. Write a response ### Instruction ### Response"], 280)
    (tokenizer / "config.json").write_text(json.dumps({"eos_token_id": END, "bos_token_id": 1}))
    config = architecture.LlamaConfig(**{**vars(architecture.size("tiny-gqa")), "vocabulary": 320})
    model = Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=False)
    model = jax.tree.map(lambda x: 4 * x if x.ndim > 1 else x, model)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pretrained.save(model, folder, tokenizer_from=tokenizer, dtype=jnp.dtype(jnp.float32))
    return folder
