"""The real commands on real problems with an untrained model, from problems to report, killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from rft_jax.hf import pretrained
from rft_jax.model.architecture import PLAIN, LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root
from rft_jax.world.generate import corpus
from rft_jax.world.vocabulary import write_tokenizer

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"
ROUNDS = tuple(f"x-{name}" for n in "12" for name in (f"paths{n}", f"rft{n}-set", f"rft{n}", f"rft{n}-eval"))
STAGES = ("contamination", "x-sft", "x-sft-eval", *ROUNDS, "report")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Returns the folder of a tiny random Llama with the world's tokenizer, which reads any text byte by byte."""
    folder = tmp_path_factory.mktemp("model")
    texts = [row.question for row in corpus(200, 0, drills=0.5)]
    vocabulary = write_tokenizer(folder / "tokenizer", texts, vocabulary=512, positions=2048)
    config = LlamaConfig(
        **PLAIN, vocabulary=vocabulary, layers=1, width=16, heads=2, kv_heads=1, head_width=8, mlp_width=16,
        max_positions=2048, rms_epsilon=1e-5, rope_theta=10_000.0, rope_scaling=None, tied_embeddings=True,
    )  # fmt: skip
    llama = Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True)
    pretrained.save(llama, folder / "llama", tokenizer_from=folder / "tokenizer", dtype=jnp.float32)
    return folder / "llama"


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """Returns files of a few real training and test problems, and one that is in both."""
    if not (GSM8K / "train.jsonl").exists():
        pytest.skip(f"needs GSM8K in {GSM8K}")
    folder = tmp_path_factory.mktemp("problems")
    train, test = ((GSM8K / name).read_text().splitlines() for name in ("train.jsonl", "test.jsonl"))
    shortest = sorted(train, key=len)[:8]
    (folder / "train.jsonl").write_text("\n".join(shortest) + "\n")
    (folder / "test.jsonl").write_text("\n".join([*sorted(test, key=len)[:5], shortest[0]]) + "\n")
    return folder


def command(model, problems, workdir, *more):
    return [
        sys.executable, "launch/pipeline.py", f"--config=configs/gsm8k.py:x={model}+",
        f"--config.problems={problems}/train.jsonl", f"--config.test={problems}/test.jsonl", "--config.k=2",
        "--config.controls=",
        "--config.train_settings=epochs=1,batch=8,remat=none,keep=1",
        "--config.sample_settings=max_new_tokens=8,rows=8",
        "--config.evaluate_settings=max_new_tokens=8,rows=8", f"--workdir={workdir}", *more,
    ]  # fmt: skip


def run(*arguments):
    return subprocess.run(command(*arguments), cwd=root(), capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_from_problems_to_report_with_a_kill_on_the_way(model, problems, tmp_path):
    workdir = tmp_path / "out"
    planned = run(model, problems, workdir, "--dry_run")
    assert planned.returncode == 0, planned.stderr
    assert all(f"{name}: new" in planned.stdout for name in STAGES)
    assert "remaining in total: 50 samples" in planned.stdout
    assert not workdir.exists()

    first = subprocess.Popen(command(model, problems, workdir), cwd=root(), stdout=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while (record := Record.read(workdir / "x-paths1")) is None:
        assert first.poll() is None
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not record.done

    second = run(model, problems, workdir)
    assert second.returncode == 0, second.stderr
    assert "stage x-paths1 was left running by a killed pipeline" in second.stdout
    assert "warning: 1 of the 6 test problems is among the training problems" in second.stderr
    assert second.stdout.count("done before, unchanged") == 3
    assert f"report: {workdir}/report.html" in second.stdout
    page = (workdir / "report.html").read_text()
    assert "x-rft1 against x-sft" in page
    # The second round samples from the first one's model, and selects among the paths of both.
    second_set = json.loads((workdir / "x-rft2-set" / "selected.jsonl.stats.json").read_text())
    assert list(second_set["models"]) == ["x-sft", "x-rft1"]
    assert second_set["united"]["samples"] == 2 * 8 * 2
    assert json.loads((workdir / "x-rft1-eval" / "metrics.json").read_text())["count"] == 6

    # A shard that is gone is sampled again, the same, although all that was made from it is there.
    shard = next((workdir / "x-paths1" / "paths").glob("*.jsonl"))
    before = shard.read_bytes()
    shard.unlink()
    third = run(model, problems, workdir, "--redo")
    assert f"x-paths1/paths/{shard.name} is missing or changed, and is made again" in third.stdout
    assert third.stdout.count("done before, unchanged") == len(STAGES) - 2  # and the report tells of it
    assert shard.read_bytes() == before
    stale = run(model, problems, workdir, "--config.temperature=1.0")
    assert stale.returncode == 1
    rest = ", ".join(ROUNDS[1:])
    assert f"config.temperature 0.7 → 1.0: this makes x-paths1 stale, and with it {rest}. " in stale.stderr
    assert stale.stderr.count("\n") == 1


def test_mistakes_are_one_line(model, problems, tmp_path):
    for more, told, code in (
        (["--config.modle=x"], "unknown config field 'modle'", 2),
        (["--config.models=a=x,a=y"], "two models are named 'a'", 1),
        (["--dry_run", "--config.models=x=/nowhere"], "no model folder /nowhere", 1),
    ):
        done = run(model, problems, tmp_path / "out", *more)
        assert done.returncode == code, done.stderr
        assert told in done.stderr
        assert done.stderr.count("\n") == 1
