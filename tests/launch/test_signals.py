"""SIGTERM at any moment of a real command, from its first imports on: 130 within 30 s, and the same command goes on."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.launch.test_train import command, start
from tests.train.conftest import data, model_folder  # noqa: F401

CATCHES = 1 << (signal.SIGTERM - 1)


def catches(process: subprocess.Popen[str]) -> bool:
    """Tells whether a process has a handler; before, Python is just starting and the system's default ends it."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt"):
            return bool(int(line.split()[1], 16) & CATCHES)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "sample", "evaluate", "select"])
def test_sigterm_at_any_moment(model_folder, data, tmp_path, name):  # noqa: F811
    samples = [f"--config.model={model_folder}", f"--config.problems={data}", "--config.max_new_tokens=400"]
    arguments = {
        "train": command(model_folder, data, tmp_path / "train", epochs=4000, save_every=10**6),
        "sample": [sys.executable, "launch/sample.py", f"--workdir={tmp_path / 'sample'}", "--config.k=2000", *samples],
        "evaluate": [sys.executable, "launch/evaluate.py", f"--workdir={tmp_path / 'e'}", "--config.k=2000", *samples],
        "select": [
            sys.executable, "launch/select_paths.py", f"--problems={data}", f"--paths={tmp_path / 'paths.jsonl'}",
            f"--output={tmp_path / 'out.jsonl'}", "--workers=2",
        ],
    }[name]  # fmt: skip
    if name == "select":
        line = '{{"problem": {}, "sample": {}, "model": "m", "response": "<<1+1=2>>#### 2", "tokens": 9}}\n'
        (tmp_path / "paths.jsonl").write_text("".join(line.format(i % 40, i // 40) for i in range(400_000)))
    choose = random.Random(name)
    for moment in [0.0, *(choose.uniform(0.2, 1.5 if name == "select" else 10.0) for _ in range(3))]:
        process = start(arguments)
        while not catches(process):
            time.sleep(0.005)
        time.sleep(moment)
        assert process.poll() is None, f"done before {moment:.1f} s: {process.communicate()}"
        process.terminate()
        begun = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, f"after {moment:.1f} s: {errors}"
        assert time.monotonic() - begun < 30
        assert errors.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in errors
