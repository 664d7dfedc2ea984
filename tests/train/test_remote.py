"""A run from a bucket is that of the same files of this machine, and a checkpoint there is converted as one here."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.hf import fingerprint, located
from rft_jax.train import checkpoint, loop
from tests.remote import buckets
from tests.remote.fixtures import bucket as bucket
from tests.train.test_loop import tiny_config

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def convert(*flags: str) -> subprocess.CompletedProcess[str]:
    """Runs the command, for which s3:// is a folder."""
    path = os.pathsep.join([str(buckets.SITE), str(ROOT)])
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / "convert.py"), *flags],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_fingerprints_are_those_of_the_folder(model_folder: Path, bucket: Path) -> None:
    shutil.copytree(model_folder, bucket / "tiny")
    (bucket / "tiny" / "original").mkdir()
    (bucket / "tiny" / "original" / "consolidated.00.pth").write_bytes(b"x")
    (bucket / "tiny" / "README.md").write_text("a picture")
    copy = located.model("s3://bucket/tiny")
    assert contents(copy) == contents(model_folder)
    assert fingerprint.of_model(copy) == fingerprint.of_model(model_folder)
    assert fingerprint.of_weights(copy) == fingerprint.of_weights(model_folder)
    assert not list(located.settings("s3://bucket/tiny").glob("*.safetensors"))


def test_train_and_convert(model_folder: Path, data: Path, bucket: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, bucket / "tiny")
    shutil.copyfile(data, bucket / "data.jsonl")
    here = tiny_config(model_folder, data, epochs=1)
    loop.train(here, tmp_path / "here" / "run", command="")
    far = dataclasses.replace(here, model="s3://bucket/tiny", data="s3://bucket/data.jsonl")
    loop.train(far, tmp_path / "far" / "run", command="")
    exported = contents(tmp_path / "here" / "run" / "model")
    assert contents(tmp_path / "far" / "run" / "model") == exported

    [step] = checkpoint.saved_steps(tmp_path / "far" / "run" / "checkpoints")
    folder = tmp_path / "far" / "run" / "checkpoints" / str(step)
    origin = checkpoint.read_origin(folder)
    assert (origin.model, origin.tokenizer) == ("s3://bucket/tiny", "s3://bucket/tiny")
    loop.train(here, tmp_path / "far" / "run", command="")  # goes on: the contents count, not where they are

    shutil.copytree(folder, bucket / "steps" / str(step))
    flags = (f"--checkpoint=s3://bucket/steps/{step}", "--output=s3://bucket/out/model", "--dtype=float32")
    result = convert(*flags)
    assert result.returncode == 0, result.stderr
    assert "done: s3://bucket/out/model" in result.stdout + result.stderr
    converted = contents(bucket / "out" / "model")
    assert "No evaluation of this model" in converted.pop("README.md").decode()
    assert converted == exported
    again = convert(*flags)
    assert again.returncode == 1
    assert again.stderr.splitlines()[-1].startswith("error: s3://bucket/out/model is not empty, it holds s3://bucket/")


@pytest.mark.parametrize("name", ["train", "sample", "evaluate", "pipeline", "report"])
def test_a_workdir_cannot_be_in_a_bucket(name: str) -> None:
    config = {"train": "sft.py", "pipeline": "quickstart.py"}.get(name, f"{name}.py")
    flags = [] if name == "report" else [f"--config={ROOT}/configs/{config}"]
    result = subprocess.run(
        [sys.executable, str(ROOT / "launch" / f"{name}.py"), "--workdir=gs://bucket/run", *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("error: --workdir=gs://bucket/run: ")
    assert ("convert.py" if name == "train" else "a local disk") in line
