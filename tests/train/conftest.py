"""A tiny model with a tokenizer, and a small set of problems that it can learn."""

import json
import random
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import tokenizers
import transformers

from rft_jax.hf import pretrained
from rft_jax.model import architecture, llama
from rft_jax.task.templates.paper import instruction

END = 2


def tiny_problems(count: int) -> list[dict[str, str]]:
    """Additions below ten: few enough for a tiny model to know by heart."""
    choice = random.Random(0)
    pairs = [(a, b) for a in range(10) for b in range(10)]
    choice.shuffle(pairs)
    return [
        {"query": f"What is {a} plus {b}?", "response": f"{a} + {b} = <<{a}+{b}={a + b}>>{a + b}\n#### {a + b}"}
        for a, b in (pairs * (count // len(pairs) + 1))[:count]
    ]


def tiny_texts() -> list[str]:
    """What a tokenizer for these problems should know, and every printable character."""
    problems = [instruction(line["query"]) + line["response"] for line in tiny_problems(100)]
    return [*problems, *(chr(code) * 2 for code in range(32, 127))]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 40 examples."""
    path = tmp_path_factory.mktemp("data") / "problems.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in tiny_problems(40)))
    return path


def save_tokenizer(folder: Path, texts: list[str], size: int) -> None:
    """Trains a byte-level tokenizer with Llama's special tokens: 0 unknown, 1 begin, 2 end."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False, max_token_length=12
    )
    tokenizer.train_from_iterator(texts, trainer)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with the architecture `tiny` and a tokenizer of at most 256 tokens."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(tokenizer, tiny_texts(), 256)
    model = llama.Llama(architecture.SIZES["tiny"], jax.random.key(0), dtype=jnp.float32, stacked=True)
    pretrained.save(model, folder, tokenizer_from=tokenizer, dtype=jnp.dtype(jnp.float32))
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small disk: needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
