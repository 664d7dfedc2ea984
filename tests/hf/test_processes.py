"""Two processes of four devices each save what one process saves, and fail together."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.hf import adapter, names, pretrained
from rft_jax.hf.sidecars import PromptSidecar
from rft_jax.model import architecture, llama
from rft_jax.model.lora import Lora
from rft_jax.runtime import make_mesh
from rft_jax.train import step
from tests.devices import xla_flags

PROGRAM = """
import collections, math, sys
import jax, jax.numpy as jnp
jax.config.update("jax_cpu_collectives_implementation", "gloo")
address, number, source, target, absent = sys.argv[1:]
jax.distributed.initialize(address, num_processes=2, process_id=int(number))
from rft_jax import runtime
from rft_jax.errors import UserError
from rft_jax.hf import names, pretrained
from tests.hf.test_processes import save_adapted
mesh = runtime.make_mesh(1, 4, 2)
def most_held(parameters):
    buffers = {}  # an array of one device may be another's shard
    for array in jax.live_arrays():
        if id(array) not in parameters:
            for shard in array.addressable_shards:
                buffers[shard.device, shard.data.unsafe_buffer_pointer()] = shard.data.nbytes
    held = collections.Counter()
    for (device, _), size in buffers.items():
        held[device] += size
    return max(held.values())

for stacked in (True, False):
    model = pretrained.load(source, mesh, dtype=None, stacked=stacked)
    assert not model.embedding[...].is_fully_addressable
    dtype = jnp.dtype(jnp.bfloat16)
    pretrained.save(model, f"{target}-{stacked}", tokenizer_from=None, dtype=dtype, shard_bytes=20_000)
    try:
        pretrained.save(model, absent, tokenizer_from=None, dtype=dtype)
    except UserError as error:
        assert "cannot write" in str(error), error
    else:
        raise AssertionError("saved where it cannot be")
    # What a 70B model must not do: beside the parameters, no device ever holds more than one layer's tensor.
    parameters = {id(array) for array in jax.live_arrays()}
    largest = max(math.prod(shape) for shape in names.shapes(model.config).values()) * dtype.itemsize
    for _ in pretrained._tensors(model, dtype):
        assert 0 < most_held(parameters) <= largest
    if stacked:
        save_adapted(model, mesh, source, target)
print("done")
"""
LORA = Lora(2, 4.0, ("k_proj", "down_proj"))


def save_adapted(model, mesh, source, target):
    """Saves a model with adapters of ones, whose sums are exact, merged and as adapters."""
    adapters = jax.tree.map(jnp.ones_like, step.make_adapters(LORA, model.config, 0, mesh))
    adapted = llama.with_adapters(model, adapters)
    pretrained.save(adapted, f"{target}-merged", tokenizer_from=None, dtype=jnp.dtype(jnp.float32))
    prompt = PromptSidecar({}, "", (2,))
    adapter.save(
        adapters, LORA, model.config, Path(f"{target}-adapter"), base="base", revision=None,
        tokenizer_from=Path(source), prompt=prompt,
    )  # fmt: skip


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_two_processes_save_the_bytes_of_one(tmp_path):
    config = architecture.size("tiny-gqa")
    random = np.random.default_rng(0)
    tensors = (
        (name, random.standard_normal(shape, np.float32).astype(jnp.bfloat16))
        for name, shape in names.shapes(config).items()
    )
    dtype = jnp.dtype(jnp.bfloat16)
    pretrained.write(tmp_path / "model", config, tensors, tokenizer_from=None, dtype=dtype)
    pretrained.save(
        pretrained.load(tmp_path / "model", dtype=None, stacked=True),
        tmp_path / "one",
        tokenizer_from=None,
        dtype=dtype,
        shard_bytes=20_000,
    )
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    mesh = make_mesh(1, 4, 2)
    save_adapted(
        pretrained.load(tmp_path / "model", mesh, dtype=None, stacked=True), mesh, tmp_path / "model", tmp_path / "one"
    )
    environment = {**os.environ, "XLA_FLAGS": xla_flags(4)}
    address = f"127.0.0.1:{free_port()}"
    arguments = [str(tmp_path / name) for name in ("model", "two", "absent/model")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(number), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        if "gloo" in output and "not available" in output:
            pytest.skip("this jaxlib has no gloo")
        assert process.returncode == 0, output
        assert output.strip().endswith("done"), output

    def saved(name):
        return {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}

    assert saved("two-True") == saved("two-False") == saved("one")
    for kind in ("merged", "adapter"):
        assert saved(f"two-{kind}") == saved(f"one-{kind}")
