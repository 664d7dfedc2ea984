"""A pretrained model, SmolLM2-135M-Instruct, and commands that use it as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rft_jax.records.problem import read_problems, write_problems
from rft_jax.world import generate
from tests.shared_data import SHARED

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "rft_jax" / "world" / "base_model"
BEFORE, AFTER = (  # the paper's instruction text, typed again: what is asked is compared with it
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n",
    "\n\n### Response:",
)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The model's folder, which launch/real_model.sh makes."""
    folder = ROOT / ".cache" / "smollm2"
    if not folder.exists():
        pytest.skip("needs SmolLM2-135M-Instruct: launch/real_model.sh makes its folder")
    return folder


@pytest.fixture(scope="session")
def problems(tmp_path_factory: pytest.TempPathFactory):
    """Returns a function that writes the first problems to a file: GSM8K's test problems, or generated ones."""

    def write(count: int) -> Path:
        gsm8k = SHARED / "data" / "gsm8k" / "test.jsonl"
        first = read_problems(gsm8k)[:count] if gsm8k.exists() else generate.problems("test", count, 0)
        path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
        write_problems(path, first)
        return path

    return write


def command(*arguments: Any, **variables: str) -> None:
    """Runs a command of Python on one device, with the optimisations that tests do without, and these variables."""
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", **variables}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


def greedy(model: Path, problems: Path, workdir: Path, *settings: str) -> list[dict[str, Any]]:
    """Evaluates a model and returns its greedy paths, in the order of the problems."""
    command(
        "launch/evaluate.py", "--config=configs/evaluate.py", f"--config.model={model}",
        f"--config.problems={problems}", f"--workdir={workdir}", *settings,
    )  # fmt: skip
    files = (workdir / "paths").glob("*.jsonl")
    paths = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted(paths, key=lambda path: path["problem"])


def load_torch(folder: Path):
    """Returns transformers' model of a folder, in fp32."""
    torch = pytest.importorskip("torch", reason="the oracle is transformers' torch Llama: install the extra `torch`")
    transformers = pytest.importorskip("transformers")
    return transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
