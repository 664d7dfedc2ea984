"""A model card says what files beside the run say, and no accuracy that is not of these very weights."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rft_jax.evaluate.loop import percent
from rft_jax.model import architecture
from rft_jax.pipeline.stage_settings import root
from rft_jax.report import card
from rft_jax.train import checkpoint, run_record
from rft_jax.train.checkpoint import Origin
from tests.remote.fixtures import hub as hub
from tests.remote.fixtures import no_hub as no_hub
from tests.remote.hub_server import OWNER, TOKEN, Hub

COMMIT = "0123456789" * 4
ORIGIN = Origin(
    model=f"hf:meta-llama/Llama-2-7b-hf@{COMMIT}", model_fingerprint="m1", data="hf:openai/gsm8k:main:train",
    data_fingerprint="d1", fraction=0.5, batch=128, seed=7, architecture=architecture.size("llama2-7b"),
    tokenizer="x", prompt={"prompt_format": {"name": "llama-sft", "task": "gsm8k"}},
)  # fmt: skip


def front(text: str) -> dict[str, object]:
    """Returns the metadata."""
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert match
    return yaml.safe_load(match[1])


def accuracies(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.search(r"\d \(\d.* to ", line)]


def test_of_the_checkpoint_alone() -> None:
    text = card.write(ORIGIN, None, step="300", dtype="bfloat16", evaluated=False)
    assert front(text) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": "meta-llama/Llama-2-7b-hf",
        "datasets": ["openai/gsm8k"],
    }
    assert f"# llama-sft\n\n`{ORIGIN.model}`" in text
    for said in ("6,738,415,616, bfloat16", "300 of 128 examples, seed 7", "0.5 of it", "fingerprint m1", "`gsm8k`"):
        assert said in text
    assert "No evaluation of this model lies beside the training run." in text
    assert "The run's settings are not beside the checkpoint." in text
    assert accuracies(text) == []


def test_folders_of_this_machine_stay_here(tmp_path: Path) -> None:
    private = "/home/somebody/secret"
    origin = dataclasses.replace(
        ORIGIN,
        model=f"{private}/base",
        data=f"{private}/a|b`\n# c.jsonl",
        prompt={"prompt_format": {"name": "a\n# b", "task": f"{private}/mine.py"}},
    )
    settings = {
        "model": f"{private}/base",
        "data": f"{private}/x.jsonl",
        "task": f"{private}/mine.py",
        "template": None,
    }
    settings |= {"epochs": 3, "mesh": {"data": 1, "fsdp": 8}}
    run_record.record(tmp_path, settings, {"rft_jax": "1", "python": "3"}, 0)
    text = card.write(origin, tmp_path, step="300", dtype="float16", evaluated=False)
    assert "secret" not in text
    assert "base_model" not in front(text)
    assert "--config.model=base --config.data=x.jsonl --config.task=mine.py --config.epochs=3" in text
    assert "--config.mesh.data=1 --config.mesh.fsdp=8" in text
    assert "--config.template" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# a # b"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/home/me/runs/sft/checkpoints/100", "sft/checkpoints/100"),
        ("checkpoints/100", "checkpoints/100"),
        ("/home/me/runs/sft/model", "sft/model"),
        ("/model", "model"),
        ("/home/me/llama/", "llama"),
        ("gs://b/sft/checkpoints/100", "gs://b/sft/checkpoints/100"),
        (f"hf:a/model@{COMMIT}", f"hf:a/model@{COMMIT}"),
    ],
)
def test_names_keep_what_they_mean(tmp_path: Path, given: str, shown: str) -> None:
    run_record.record(tmp_path, {"model": given}, {"rft_jax": "1", "python": "3"}, 0)
    origin = dataclasses.replace(ORIGIN, model=given)
    text = card.write(origin, tmp_path, step="3", dtype="float16", evaluated=False)
    assert f"\n`{shown}`, fine-tuned on" in text
    assert f"--config.model={shown}\n" in text


@pytest.mark.parametrize(
    ("task", "shown"),
    [("/home/me/my.py:a,b/c", "my.py:a,b/c"), ("math:a/x,b/c", "math:a/x,b/c"), ("/home/a:b/my.py", "my.py")],
)
def test_the_columns_of_a_task_are_not_cut(tmp_path: Path, task: str, shown: str) -> None:
    run_record.record(tmp_path, {"task": task}, {"rft_jax": "1", "python": "3"}, 0)
    origin = dataclasses.replace(ORIGIN, prompt={"prompt_format": {"name": "m", "task": task}})
    text = card.write(origin, tmp_path, step="3", dtype="float16", evaluated=False)
    assert f"| task | `{shown}` |" in text
    assert f"--config.task={shown}\n" in text


def test_the_command_is_the_one_that_was_given(tmp_path: Path) -> None:
    written = {"step": "3", "dtype": "float16", "evaluated": False}
    plain = card.write(ORIGIN, None, **written)
    assert "--checkpoint=RUN/checkpoints/3 --dtype=float16 --output=DIR" in plain
    text = card.write(ORIGIN, None, **written, tokenizer="/home/me/a tokenizer", shard_gb=0.5)
    assert "--checkpoint=RUN/checkpoints/3 --dtype=float16 --tokenizer='a tokenizer' --shard_gb=0.5 --output" in text


def test_all_software_that_made_the_step_is_told(tmp_path: Path) -> None:
    for version, first in (("1", 0), ("2", 40), ("3", 100)):
        run_record.record(tmp_path, {"epochs": 3}, {"rft_jax": version, "python": "3.11"}, first)

    def told(step: str) -> list[str]:
        text = card.write(ORIGIN, tmp_path, step=step, dtype="float16", evaluated=False)
        return re.findall(r".*rft_jax \d · .*", text)

    one, two, three = (f"rft_jax {version} · python 3.11" for version in "123")
    assert told("40") == [one]
    assert told("100") == [f"- steps 1 to 40: {one}", f"- steps 41 to 100: {two}"]
    assert told("120") == [*told("100"), f"- steps 101 to 120: {three}"]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    text = card.write(
        dataclasses.replace(ORIGIN, data="/d/w\udcff.jsonl"), None, step="3", dtype="float16", evaluated=False
    )
    assert "fine-tuned on `w?.jsonl`" in text.encode().decode()


def convert(run: Path, output: Path, *flags: str, **environment: str) -> str:
    """Converts the last checkpoint by the command, and returns the card."""
    step = checkpoint.saved_steps(run / "checkpoints")[-1]
    command = [sys.executable, "launch/convert.py", f"--checkpoint={run / 'checkpoints' / str(step)}"]
    done = subprocess.run(
        [*command, f"--output={output}", *flags],
        cwd=root(), env=os.environ | environment, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (output / "README.md").read_text()


@pytest.mark.slow
def test_the_accuracies_are_those_of_the_evaluation(hub: Hub, undisturbed: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "moved"
    shutil.copytree(undisturbed, workdir)
    metrics = json.loads((workdir / "eval" / "metrics.json").read_text())
    expected = [percent(estimate) for of in metrics["graders"].values() for estimate in of.values()]
    there = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    text = convert(workdir / "rft", tmp_path / "same", f"--push={OWNER}/tiny", **there)
    assert [line.split("|")[4].strip() for line in accuracies(text)] == expected
    assert "`test.jsonl` (8, 0 shots) | maj1@1 | " in text
    assert "python launch/train.py --config=configs/sft.py" in text
    assert "--config.learning_rate=0.0005" in text
    assert accuracies(convert(workdir / "rft", tmp_path / "narrow", "--dtype=bf16")) == accuracies(text)
    other = shutil.copytree(workdir / "rft" / "model", tmp_path / "tokenizer")
    (other / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    retold = convert(workdir / "rft", tmp_path / "retold", f"--tokenizer={other}", "--shard_gb=1")
    assert accuracies(retold) == []
    assert "--tokenizer=tokenizer --shard_gb=1.0 --output=DIR" in retold
    narrow = json.loads((tmp_path / "narrow" / "config.json").read_text())
    assert narrow["dtype"] == "bfloat16"

    repository = hub.repositories[f"{OWNER}/tiny"]
    assert repository.private
    _, pushed = repository.commits.values()
    assert pushed.pop(".gitattributes") == b""
    assert pushed == {file.name: file.read_bytes() for file in (tmp_path / "same").iterdir()}

    # Another model, though the evaluation is of the same workdir; then, the evaluated one is no longer there.
    assert accuracies(convert(workdir / "sft", tmp_path / "sft")) == []
    shutil.rmtree(workdir / "rft" / "model")
    shutil.copytree(workdir / "sft" / "model", workdir / "rft" / "model")
    assert accuracies(convert(workdir / "rft", tmp_path / "other")) == []
