"""A torch model by transformers for every kind of architecture, and the same weights in ours."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.hf import pretrained
from rft_jax.model.llama import Llama

LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64, "rope_theta": 500_000.0,
}  # fmt: skip
DEFAULT = {"rope_type": "default", "rope_theta": 10_000.0}

BASE: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "rope_parameters": DEFAULT,
    "tie_word_embeddings": False, "initializer_range": 0.15, "attn_implementation": "eager",
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "llama1": {},
    "llama2-gqa": {"num_key_value_heads": 2, "rms_norm_eps": 1e-5},
    "one-kv-head": {"num_key_value_heads": 1},
    "head-width-apart": {"head_dim": 16},
    "three-heads-32001": {"hidden_size": 24, "num_attention_heads": 3, "num_key_value_heads": 3, "vocab_size": 32001},
    "large-epsilon": {"rms_norm_eps": 0.3},
    "linear-scaling": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}},
    "llama3": {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}, "num_key_value_heads": 2},
    "llama3.1-128256": {
        "rope_parameters": LLAMA3, "num_key_value_heads": 2, "vocab_size": 128256, "hidden_size": 16, "head_dim": 8,
        "max_position_embeddings": 131072,
    },
    "llama3.2-tied": {
        "rope_parameters": LLAMA3 | {"factor": 32.0}, "num_key_value_heads": 2, "tie_word_embeddings": True,
    },
    "llama-biases": {"attention_bias": True, "num_key_value_heads": 2},
    # The batches of the tests are of 12 tokens: some windows are shorter, one is longer.
    "mistral-window": {"model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 5},
    "mistral-wide-window": {"model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 4096},
    "mistral-nemo": {"model_type": "mistral", "num_key_value_heads": 2, "sliding_window": None, "head_dim": 16},
    "qwen2-tied": {"model_type": "qwen2", "num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen2-two-windows": {
        "model_type": "qwen2", "num_key_value_heads": 2, "num_hidden_layers": 3, "use_sliding_window": True,
        "sliding_window": 4, "max_window_layers": 1,
    },
    "qwen3-tied": {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": True},
    "qwen3-window-biases": {
        "model_type": "qwen3", "num_key_value_heads": 1, "head_dim": 6, "attention_bias": True,
        "use_sliding_window": True, "sliding_window": 2, "max_window_layers": 0,
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same weights twice.

    Attributes:
        torch: transformers' model, fp32.
        folder: what its save_pretrained wrote.
        stacked, apart: ours, loaded from there, fp32.
    """

    torch: Any
    folder: Path
    stacked: Llama
    apart: Llama


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory):
    """Returns a function from a key of KINDS to a Pair, made once."""
    torch = pytest.importorskip("torch", reason="the oracle is transformers' torch Llama: install the extra `torch`")
    transformers = pytest.importorskip("transformers")
    made: dict[str, Pair] = {}

    def make(kind: str) -> Pair:
        if kind not in made:
            torch.manual_seed(0)
            config = transformers.AutoConfig.for_model(**{"model_type": "llama"} | BASE | KINDS[kind])
            model = transformers.AutoModelForCausalLM.from_config(config).eval()
            with torch.no_grad():  # norms start at one and biases at zero, where a forgotten one would not show
                for name, parameter in model.named_parameters():
                    if "norm" in name:
                        parameter.uniform_(0.5, 1.5)
                    if "bias" in name:
                        parameter.uniform_(-1.0, 1.0)
            folder = tmp_path_factory.mktemp(kind)
            model.save_pretrained(folder)
            load = lambda stacked: pretrained.load(folder, dtype=jnp.float32, stacked=stacked)  # noqa: E731
            made[kind] = Pair(model, folder, load(True), load(False))
        return made[kind]

    return make


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of tokens. Attributes: tokens, segments, positions, each int32 [B, T]."""

    tokens: np.ndarray
    segments: np.ndarray
    positions: np.ndarray


def random_batch(vocabulary: int, rows: int = 8, length: int = 12, seed: int = 0) -> Batch:
    """Returns rows of one whole sequence each."""
    tokens = np.random.default_rng(seed).integers(0, vocabulary, (rows, length)).astype(np.int32)
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape)
    return Batch(tokens, np.ones_like(tokens), positions)
