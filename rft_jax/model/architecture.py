"""The numbers and options that define a Llama or one of its relatives, and those of the published sizes.

Nothing here has a default: a rotary base or an epsilon that is silently the wrong one costs a training run.
Sources of the table: the config.json of each published checkpoint.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from rft_jax.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class LinearScaling:
    """Position interpolation (arXiv 2306.15595): every rotary frequency is divided by `factor`."""

    factor: float


@dataclasses.dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's rule: long wavelengths are divided by `factor`, short ones are kept, those between are blended.

    Attributes:
        factor: by how much the context grew.
        low_frequency_factor: wavelengths above original_positions / this are divided.
        high_frequency_factor: wavelengths below original_positions / this are kept.
        original_positions: the context length before the extension, in tokens.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_positions: int


# As transformers' model_type. SmolLM2 is a llama, Qwen 2.5 a qwen2.
Family = Literal["llama", "mistral", "qwen2", "qwen3"]


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """The architecture of one Llama, or of a relative: a Llama with other options.

    Attributes:
        family: whose Hugging Face form the model has; the options below alone decide what is computed.
        vocabulary: V, rows of the embedding table; never resized (see BUILD.md).
        layers: L.
        width: D, of the residual stream.
        heads: N, query heads.
        kv_heads: K, key-value heads; N is a multiple of it.
        head_width: H; not always D / N.
        mlp_width: F.
        max_positions: tokens the model was made for; longer sequences are refused by those who sample.
        rms_epsilon: added to the mean square in every norm.
        rope_theta: base of the rotary frequencies.
        rope_scaling: how the frequencies are changed for longer contexts, or None.
        tied_embeddings: whether the output head is the embedding table.
        qkv_bias: whether the products that make query, key and value have a bias (Qwen 2).
        output_bias: whether attention's output product has one.
        query_key_norm: whether each head's query and key are normed before they are turned (Qwen 3).
        window: how many tokens a token sees, itself included (arXiv 2310.06825, section 2); None: all before it.
        full_layers: the first layers, which see all tokens whatever the window (Qwen 2's `max_window_layers`).
    """

    family: Family
    vocabulary: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_width: int
    max_positions: int
    rms_epsilon: float
    rope_theta: float
    rope_scaling: LinearScaling | Llama3Scaling | None
    tied_embeddings: bool
    qkv_bias: bool
    output_bias: bool
    query_key_norm: bool
    window: int | None
    full_layers: int

    def __post_init__(self) -> None:
        for name in ("vocabulary", "layers", "width", "heads", "kv_heads", "head_width", "mlp_width", "max_positions"):
            if getattr(self, name) < 1:
                raise UserError(f"a Llama needs {name} of at least 1, got {getattr(self, name)}")
        if self.heads % self.kv_heads:
            raise UserError(f"{self.heads} query heads cannot share {self.kv_heads} key-value heads: not a multiple")
        if self.head_width % 2:
            raise UserError(f"rotary embeddings turn pairs of numbers: head width {self.head_width} is odd")
        if self.window is not None and self.window < 1:
            raise UserError(f"a token sees itself at least: a window of {self.window} tokens is too small")

    @property
    def parameters(self) -> int:
        """Number of parameters (N in the paper's FLOPs formulas)."""
        attention = 2 * self.width * self.head_width * (self.heads + self.kv_heads)
        if self.qkv_bias:
            attention += self.head_width * (self.heads + 2 * self.kv_heads)
        if self.output_bias:
            attention += self.width
        if self.query_key_norm:
            attention += 2 * self.head_width
        layer = attention + 3 * self.width * self.mlp_width + 2 * self.width
        tables = 1 if self.tied_embeddings else 2
        return self.layers * layer + tables * self.vocabulary * self.width + self.width

    def spans(self) -> Iterator[tuple[range, int | None]]:
        """Yields the layers in order, those next to each other that have the same window together, and that window."""
        full = self.layers if self.window is None else min(self.full_layers, self.layers)
        for layers, window in ((range(full), None), (range(full, self.layers), self.window)):
            if layers:
                yield layers, window


# The options of a plain Llama.
PLAIN: dict[str, Any] = {
    "family": "llama", "qkv_bias": False, "output_bias": False, "query_key_norm": False, "window": None,
    "full_layers": 0,
}  # fmt: skip


def _llama1(layers: int, width: int, heads: int, mlp_width: int, rms_epsilon: float = 1e-6) -> LlamaConfig:
    return LlamaConfig(
        **PLAIN, vocabulary=32000, layers=layers, width=width, heads=heads, kv_heads=heads, head_width=width // heads,
        mlp_width=mlp_width, max_positions=2048, rms_epsilon=rms_epsilon, rope_theta=10_000.0, rope_scaling=None,
        tied_embeddings=False,
    )  # fmt: skip


def _llama2(size: LlamaConfig) -> LlamaConfig:
    return dataclasses.replace(size, max_positions=4096, rms_epsilon=1e-5)


def _llama3(layers: int, width: int, heads: int, mlp_width: int, extended: float | None, tied: bool) -> LlamaConfig:
    return LlamaConfig(
        **PLAIN, vocabulary=128256, layers=layers, width=width, heads=heads, kv_heads=8,
        head_width=64 if width == 2048 else 128, mlp_width=mlp_width, max_positions=131072 if extended else 8192,
        rms_epsilon=1e-5, rope_theta=500_000.0,
        rope_scaling=Llama3Scaling(extended, 1.0, 4.0, 8192) if extended else None, tied_embeddings=tied,
    )  # fmt: skip


def _smollm2(layers: int, width: int, heads: int, kv_heads: int, mlp_width: int, rope_theta: float) -> LlamaConfig:
    return LlamaConfig(
        **PLAIN, vocabulary=49152, layers=layers, width=width, heads=heads, kv_heads=kv_heads, head_width=64,
        mlp_width=mlp_width, max_positions=8192, rms_epsilon=1e-5, rope_theta=rope_theta, rope_scaling=None,
        tied_embeddings=True,
    )  # fmt: skip


def _mistral(vocabulary: int, window: int | None, rope_theta: float) -> LlamaConfig:
    return LlamaConfig(
        **PLAIN | {"family": "mistral", "window": window}, vocabulary=vocabulary, layers=32, width=4096, heads=32,
        kv_heads=8, head_width=128, mlp_width=14336, max_positions=32768, rms_epsilon=1e-5, rope_theta=rope_theta,
        rope_scaling=None, tied_embeddings=False,
    )  # fmt: skip


def _qwen2(layers: int, width: int, heads: int, kv_heads: int, mlp_width: int, positions: int) -> LlamaConfig:
    return LlamaConfig(
        **PLAIN | {"family": "qwen2", "qkv_bias": True}, vocabulary=151936 if width < 3584 else 152064, layers=layers,
        width=width, heads=heads, kv_heads=kv_heads, head_width=width // heads, mlp_width=mlp_width,
        max_positions=positions, rms_epsilon=1e-6, rope_theta=1e6 if positions > 4096 else 1e4, rope_scaling=None,
        tied_embeddings=width < 3584,
    )  # fmt: skip


def _qwen3(layers: int, width: int, heads: int, mlp_width: int) -> LlamaConfig:
    return LlamaConfig(
        **PLAIN | {"family": "qwen3", "query_key_norm": True}, vocabulary=151936, layers=layers, width=width,
        heads=heads, kv_heads=8, head_width=128, mlp_width=mlp_width, max_positions=40960, rms_epsilon=1e-6,
        rope_theta=1e6, rope_scaling=None, tied_embeddings=width < 4096,
    )  # fmt: skip


_7B = _llama1(layers=32, width=4096, heads=32, mlp_width=11008)
_13B = _llama1(layers=40, width=5120, heads=40, mlp_width=13824)
_65B = _llama1(layers=80, width=8192, heads=64, mlp_width=22016, rms_epsilon=1e-5)
# The base model of the embedded world.
_WORLD = LlamaConfig(
    **PLAIN, vocabulary=768, layers=4, width=128, heads=4, kv_heads=4, head_width=32, mlp_width=352, max_positions=512,
    rms_epsilon=1e-5, rope_theta=10_000.0, rope_scaling=None, tied_embeddings=True,
)  # fmt: skip

SIZES: dict[str, LlamaConfig] = {
    "llama-7b": _7B,
    "llama-13b": _13B,
    "llama-33b": _llama1(layers=60, width=6656, heads=52, mlp_width=17920),
    "llama-65b": _65B,
    "llama2-7b": _llama2(_7B),
    "llama2-13b": _llama2(_13B),
    "llama2-70b": dataclasses.replace(_llama2(_65B), kv_heads=8, mlp_width=28672),
    "llama3-8b": _llama3(layers=32, width=4096, heads=32, mlp_width=14336, extended=None, tied=False),
    "llama3.1-8b": _llama3(layers=32, width=4096, heads=32, mlp_width=14336, extended=8.0, tied=False),
    "llama3.2-1b": _llama3(layers=16, width=2048, heads=32, mlp_width=8192, extended=32.0, tied=True),
    "llama3.2-3b": _llama3(layers=28, width=3072, heads=24, mlp_width=8192, extended=32.0, tied=True),
    "smollm2-135m": _smollm2(layers=30, width=576, heads=9, kv_heads=3, mlp_width=1536, rope_theta=100_000.0),
    "smollm2-360m": _smollm2(layers=32, width=960, heads=15, kv_heads=5, mlp_width=2560, rope_theta=100_000.0),
    "smollm2-1.7b": _smollm2(layers=24, width=2048, heads=32, kv_heads=32, mlp_width=8192, rope_theta=130_000.0),
    "mistral-7b-v0.1": _mistral(vocabulary=32000, window=4096, rope_theta=10_000.0),
    "mistral-7b-v0.3": _mistral(vocabulary=32768, window=None, rope_theta=1_000_000.0),
    "qwen2.5-0.5b": _qwen2(layers=24, width=896, heads=14, kv_heads=2, mlp_width=4864, positions=32768),
    "qwen2.5-1.5b": _qwen2(layers=28, width=1536, heads=12, kv_heads=2, mlp_width=8960, positions=131072),
    "qwen2.5-7b": _qwen2(layers=28, width=3584, heads=28, kv_heads=4, mlp_width=18944, positions=131072),
    "qwen2.5-math-1.5b": _qwen2(layers=28, width=1536, heads=12, kv_heads=2, mlp_width=8960, positions=4096),
    "qwen2.5-math-7b": _qwen2(layers=28, width=3584, heads=28, kv_heads=4, mlp_width=18944, positions=4096),
    "qwen3-0.6b": _qwen3(layers=28, width=1024, heads=16, mlp_width=3072),
    "qwen3-1.7b": _qwen3(layers=28, width=2048, heads=16, mlp_width=6144),
    "qwen3-4b": _qwen3(layers=36, width=2560, heads=32, mlp_width=9728),
    "qwen3-8b": _qwen3(layers=36, width=4096, heads=32, mlp_width=12288),
    # Ours, for benchmarks and tests: GSM8K's real vocabulary at a laptop's size, and the smallest that has every part.
    "bench-58m": _llama1(layers=8, width=512, heads=8, mlp_width=1376),
    "tiny": dataclasses.replace(_llama1(layers=2, width=32, heads=4, mlp_width=64), vocabulary=256),
    "tiny-gqa": dataclasses.replace(_llama1(layers=2, width=32, heads=4, mlp_width=64), vocabulary=256, kv_heads=2),
    "world": _WORLD,
}


def size(name: str) -> LlamaConfig:
    """Returns the architecture of a published size.

    Raises:
        UserError: no such size; the message names the nearest one.
    """
    if name not in SIZES:
        raise UserError(f"unknown model size '{name}'{did_you_mean(name, SIZES)}; known: {', '.join(SIZES)}")
    return SIZES[name]
