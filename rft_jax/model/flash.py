"""Fused attention kernels for training, chosen by name: cuDNN's on CUDA and the splash kernel on TPU.

They agree with `attention.segment_attention`'s plain form; what they spare is the scores [B, N, T, T] in memory.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from rft_jax.errors import UserError

Implementation = Literal["xla", "cudnn", "splash"]

SHARED = -1  # the segment of the shared prefix, which all later tokens of its row see

_LANES = 128  # of a TPU's vector unit


def choose(name: str, backend: str, dtype: jnp.dtype) -> Implementation:
    """Returns the implementation to use; "auto" takes the fastest that the backend and dtype allow.

    Args:
        name: auto, xla, cudnn or splash.
        backend: as `jax.default_backend()` says.
        dtype: of the computation.

    Raises:
        UserError: the implementation does not run there.
    """
    short = dtype in (jnp.bfloat16, jnp.float16)
    match name:
        case "auto":
            return "splash" if backend == "tpu" else "cudnn" if backend == "gpu" and short else "xla"
        case "xla":
            return "xla"
        case "cudnn" if backend == "gpu" and short:
            return "cudnn"
        case "splash" if backend == "tpu":
            return "splash"
        case "cudnn":
            raise UserError(f"attention=cudnn needs a CUDA GPU and bfloat16, here are {backend} and {dtype}; take auto")
        case "splash":
            raise UserError(f"attention=splash needs a TPU, here is {backend}; take auto")
    raise UserError(f"unknown attention '{name}'; known: auto, xla, cudnn, splash")


def visible(segments: jax.Array, positions: jax.Array, window: int | None) -> jax.Array:
    """Returns bool [B, T, T]: whether a token (second axis) may see another earlier one.

    Arguments are as for `attention.segment_attention`.
    """
    same = segments[:, :, None] == segments[:, None, :]
    seen = same | (segments == SHARED)[:, None, :]
    return seen if window is None else seen & (positions[:, :, None] - positions[:, None, :] < window)


def cudnn(query: jax.Array, key: jax.Array, value: jax.Array, seen: jax.Array) -> jax.Array:
    """CuDNN's kernel; shapes as for `attention.segment_attention`, and `seen` from `visible`."""
    return jax.nn.dot_product_attention(query, key, value, mask=seen[:, None], is_causal=True, implementation="cudnn")


def splash(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segments: jax.Array,
    window: int | None,
    interpret: bool = False,
) -> jax.Array:
    """The TPU's splash kernel, which skips the blocks above the diagonal; shapes as for `segment_attention`.

    Args:
        query, key, value, segments: with T a multiple of 128.
        window: as for `segment_attention`; here positions are the places in the row.
        interpret: whether to run it in JAX's own operations, on any device.

    Raises:
        UserError: T is not a multiple of 128.
    """
    from jax.experimental.pallas.ops.tpu import splash_attention as kernels  # loads the TPU's compiler

    length, heads, width = query.shape[1:]
    if length % _LANES:
        raise UserError(
            f"attention=splash takes rows of a multiple of {_LANES} tokens, not {length}: set row_length so"
        )
    block = max(size for size in (_LANES, 2 * _LANES, 4 * _LANES) if length % size == 0)
    mask: Any = kernels.CausalMask((length, length))
    if window is not None:
        mask = kernels.LocalMask((length, length), window_size=(window - 1, 0), offset=0)
    kernel: Any = kernels.make_splash_mha_single_device(
        mask=kernels.splash_attention_mask.MultiHeadMask([mask] * heads),
        block_sizes=kernels.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_kv_dkv_compute=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        interpret=interpret,
    )

    def attend(query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array) -> jax.Array:
        return kernel(query, key, value, segment_ids=kernels.SegmentIds(q=segments, kv=segments))

    scaled = query * jnp.asarray(width**-0.5, query.dtype)
    heads_first = [x.swapaxes(1, 2) for x in (scaled, key, value)]
    return jax.vmap(attend)(heads_first[0], heads_first[1], heads_first[2], segments).swapaxes(1, 2)
