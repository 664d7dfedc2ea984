"""Tensors are those of a folder if they are so bit by bit, as far as the narrower dtype tells."""

import ml_dtypes
import numpy as np
import pytest

from rft_jax.hf import names, pretrained
from rft_jax.model import architecture
from rft_jax.train.same_weights import SameWeights

CONFIG = architecture.size("tiny-gqa")
BF16, FP16, FP32 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16), np.dtype(np.float32)
LAST = list(names.shapes(CONFIG))[-1]


@pytest.fixture(scope="module")
def tensors():
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape, np.float32) for name, shape in names.shapes(CONFIG).items()}


def same(tensors, dtype, folder, config=CONFIG):
    """Returns whether they hold, and checks that they pass as they are."""
    watched = SameWeights(folder, config)
    given = {name: array.astype(dtype) for name, array in tensors.items()}
    passed = dict(watched.watch(given.items()))
    assert all(passed[name] is given[name] for name in given)
    return watched.hold


@pytest.mark.parametrize("stored", [BF16, FP16, FP32])
@pytest.mark.parametrize("given", [BF16, FP16, FP32])
def test_dtypes(tensors, tmp_path, stored, given):
    cast = ((name, array.astype(stored)) for name, array in tensors.items())
    pretrained.write(tmp_path / "model", CONFIG, cast, tokenizer_from=None, dtype=stored)
    assert same(tensors, given, tmp_path / "model") == (FP32 in (stored, given) or stored == given)


def test_one_weight_is_enough(tensors, tmp_path):
    pretrained.write(tmp_path / "model", CONFIG, tensors.items(), tokenizer_from=None, dtype=FP32)
    other = tensors | {LAST: tensors[LAST].copy()}
    other[LAST].flat[-1] = np.nextafter(other[LAST].flat[-1], np.float32(9))
    assert not same(other, FP32, tmp_path / "model")
    assert same(other, BF16, tmp_path / "model") == (other[LAST].astype(BF16) == tensors[LAST].astype(BF16)).all()
    assert not same(tensors, FP32, tmp_path / "model", architecture.size("tiny"))
    assert not same(tensors, FP32, tmp_path / "none")
