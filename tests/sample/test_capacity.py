"""Rows are what the memory holds; where not one fits, the advice is true."""

import dataclasses
import re

import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.errors import UserError
from rft_jax.model import architecture
from rft_jax.runtime import make_mesh
from rft_jax.sample import capacity

LENGTHS = capacity.Lengths(np.array([40, 90, 60]), np.array([50.0, 80.0, 20.0]), 256)
MODEL = architecture.size("llama2-7b")  # nothing of it is made here
A_TOKEN = 2 * 32 * 4096 * 2  # bytes in bf16


def fit(monkeypatch, free, lengths=LENGTHS, tensor=1):
    monkeypatch.setattr(capacity, "free_bytes", lambda device: free)
    mesh = make_mesh(-1, 1, tensor)
    return capacity.fit(
        lengths, MODEL, mesh, samples=100, wanted=300, dtype=jnp.dtype(jnp.bfloat16), prefix=0, rows=None
    )


def test_rows_grow_with_the_memory(monkeypatch):
    rows = [fit(monkeypatch, mebibytes << 20).rows for mebibytes in (500, 600, 1200, 2400, 100_000)]
    assert rows == sorted(rows)
    assert 1 <= rows[0] < rows[2] < rows[-1] == 40  # 300 samples over 8 devices, in eights
    assert (600 << 20) < fit(monkeypatch, 1200 << 20).tokens * A_TOKEN < (1200 << 20)


def test_the_advice_when_nothing_fits_is_true(monkeypatch):
    free = 250 << 20
    with pytest.raises(UserError, match=r"mesh\.tensor=2") as error:
        fit(monkeypatch, free)
    fits = int(re.search(r"max_new_tokens=(\d+) would fit", str(error.value))[1])
    assert fit(monkeypatch, free, dataclasses.replace(LENGTHS, max_new=fits)).rows == 1
    with pytest.raises(UserError):
        fit(monkeypatch, free, dataclasses.replace(LENGTHS, max_new=fits + 1))
    with pytest.raises(UserError, match=r"free: a smaller --config\.prompt_tokens"):
        fit(monkeypatch, 0, tensor=8)


def test_long_responses_can_all_be_resumed():
    """A sample that goes on from a journal takes a slot: there are enough where prompts are little to read."""

    def sizes(begun):
        lengths = capacity.Lengths(np.full(300, 100), np.full(300, 130.0), 8192, begun=begun)
        return capacity.cache_sizes(256, lengths, 50)

    short, longer, longest = sizes(65.0), sizes(1000.0), sizes(4000.0)
    assert short == sizes(0.0)
    assert (short.seats, short.samples) == (16, 50)
    assert (longer.seats, longer.samples) == (2, 4)
    assert longer.slots >= 2 * longer.rows
    assert longest.seats == 1
    assert longest.slots >= longest.rows


@pytest.mark.parametrize("name", ["llama-33b", "llama2-70b"])
def test_on_tpus_what_a_sweep_needs_is_kept_free(name):
    model, mesh, free = architecture.size(name), make_mesh(1, 2, 4), 12 << 30

    def within(backend):
        return capacity.within(
            free, LENGTHS, model, mesh,
            samples=100, wanted=100_000, dtype=jnp.dtype(jnp.bfloat16), prefix=0, rows=None, backend=backend,
        )  # fmt: skip

    def taken(sizes):
        cache = capacity.bytes_of_token(model, 4, jnp.bfloat16) * sizes.tokens
        return cache + capacity.bytes_of_row(model, 4) * sizes.rows

    gpu, tpu = within("gpu"), within("tpu")
    sweep = capacity.bytes_of_sweep(tpu, model, 4, jnp.dtype(jnp.bfloat16))
    assert 8 < tpu.rows < gpu.rows
    assert 0.9 * free < taken(tpu) + sweep <= free
    assert 0.9 * free < taken(gpu) <= free


def test_a_twentieth_of_a_device_stays_free_however_much_the_weights_take():
    assert capacity.usable(100.0, 20.0) == 72
    assert capacity.usable(100.0, 80.0) == 15
    assert capacity.usable(100.0, 96.0) < 0
