"""An export streams: it needs less memory than two of its files of weights, however large the model is."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

from rft_jax.model import partition
from rft_jax.model.architecture import PLAIN, LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.runtime import make_mesh
from rft_jax.train import checkpoint, step
from rft_jax.train.checkpoint import Checkpoints, Origin

SHARD = 100_000_000  # the threads that read keep some 30 to 80 MB of what they freed, whatever the size
# Of 269 MB in fp32, no tensor above 4.2 MB.
CONFIG = LlamaConfig(
    **PLAIN, vocabulary=2048, layers=16, width=512, heads=8, kv_heads=8, head_width=64, mlp_width=2048,
    max_positions=64, rms_epsilon=1e-5, rope_theta=10000.0, rope_scaling=None, tied_embeddings=False,
)  # fmt: skip

PROGRAM = """
import re, sys
from pathlib import Path
from rft_jax.train.convert import convert

def resident(what):
    return 1024 * int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

small, large, tokenizer, out, shard = sys.argv[1:]
convert(small, Path(out) / "first", tokenizer, "float32")  # what is imported and started at the first use
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = resident("VmRSS")
convert(large, Path(out) / "second", tokenizer, "float32", shard_bytes=int(shard))
print(resident("VmHWM") - before)
"""


def saved(folder: Path, config: LlamaConfig, tokenizer: Path) -> Path:
    """Returns a checkpoint of random weights."""
    origin = Origin("a", "m", "b", "d", 1.0, 1, 0, config, str(tokenizer))
    mesh = make_mesh(1, 8, 1)

    def make() -> Llama:
        return Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True)

    with jax.set_mesh(mesh):
        model = jax.jit(make, out_shardings=partition.shardings(jax.eval_shape(make), mesh))()
        with Checkpoints(folder, origin, keep=1) as checkpoints:
            checkpoints.save(1, step.make_state(model, optax.identity(), mesh))
    return folder / "1"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux's /proc")
def test_memory(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_CHUNK_BYTES", 1 << 22)  # a layer a chunk, as in models of billions
    small = saved(tmp_path / "small", dataclasses.replace(CONFIG, layers=1), model_folder)
    large = saved(tmp_path / "large", CONFIG, model_folder)
    arguments = [str(small), str(large), str(model_folder), str(tmp_path), str(SHARD)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    index = json.loads((tmp_path / "second" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * CONFIG.parameters
    files = [tmp_path / "second" / name for name in set(index["weight_map"].values())]
    assert len(files) == 3
    assert all(file.stat().st_size < SHARD + 1e5 for file in files)
    assert int(done.stdout) < 2 * SHARD
