"""Preset `paper` and `rules=reference` in a whole pipeline: each stage did what the reference would have done."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import transformers
from rapidfuzz.distance import Levenshtein

from configs import evaluate, sample, sft
from configs.paper import faithful
from rft_jax.benchmark.select import reference_selection
from rft_jax.config import EvaluateStage, SampleStage, SelectStage, TrainStage
from rft_jax.pipeline import stage_settings
from rft_jax.pipeline.stage_settings import root
from rft_jax.sample import prompts as prompts_of
from rft_jax.task.templates.paper import instruction
from tests.devices import xla_flags
from tests.shared_data import read_jsonl

# The experiment on fewer problems and samples, once, without controls.
SMALL = """
import dataclasses

from rft_jax.config import WorldStage
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment

SIZE = dataclasses.replace(
    preset.TINY, made=(WorldStage(name="world", train=80, test=40, seed=0),), k=4, ks=(1,), votes=4, seeds=1
)


def get_config():
    made = experiment("faithful", SIZE, (cells.faithful(SIZE, SIZE.base),))
    return dataclasses.replace(made, controls=())
"""

SFT, PATHS, SET, RFT = (f"early-{name}-faithful" for name in ("sft", "paths", "set", "rft"))


def answer(text):
    """The reference's extract_answer."""
    match = re.search(r"#### (\-?[0-9\.\,]+)", text.split("\0")[0])
    try:
        float(match[1].replace(",", ""))
    except (TypeError, ValueError):
        return None
    return match[1].replace(",", "")


def right(text, gold):
    """The comparison of its evaluation."""
    return text is not None and abs(float(text) - float(gold)) < 1e-4


def asked_by_the_reference(folder, problems):
    """Returns the tokens of its prompts: `</s>` first, the last 256 kept."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [instruction(row["question"]) for row in problems]
    whole = [[2, *tokenizer(text, add_special_tokens=False)["input_ids"]] for text in texts]
    messages = [[{"role": "user", "content": row["question"]}] for row in problems]
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False) == whole
    return [np.array(ids[-256:], np.int32) for ids in whole]


@pytest.mark.slow
def test_a_run_from_problems_to_report(tmp_path):
    (tmp_path / "small.py").write_text(SMALL)
    done = subprocess.run(
        [sys.executable, "launch/pipeline.py", f"--config={tmp_path}/small.py", f"--workdir={tmp_path}"],
        cwd=root(), env=os.environ | {"XLA_FLAGS": xla_flags(1, optimised=True)}, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    train, test = (read_jsonl(tmp_path / "world" / f"{name}.jsonl") for name in ("train", "test"))

    for name in (SFT, RFT):
        settings = json.loads((tmp_path / name / "run.json").read_text())["settings"]
        told = {"border": "joint", "begin_token": 2, "max_length": 512, "loss": "group_mean", "loss_group": 4}
        assert told.items() <= settings.items()
    for stage, model, problems, drawn in (
        (PATHS, SFT, train, {"top_k": 50}),
        (f"{SFT}-eval", SFT, test, {"temperature": 0.0}),
        (f"{SFT}-eval/votes", SFT, test, {"top_k": 50}),
        (f"{RFT}-eval/votes", RFT, test, {"top_k": 50}),
    ):
        manifest = json.loads((tmp_path / stage / "paths" / "manifest.json").read_text())
        prompts = prompts_of.fingerprint(asked_by_the_reference(tmp_path / model / "model", problems))
        assert ({"prompts": prompts, "end_tokens": [2], "prompt_tokens": 256} | drawn).items() <= manifest.items()

    # RFT is on the reference's selection from one sample less than there are.
    paths = [row for file in sorted((tmp_path / PATHS / "paths").glob("*.jsonl")) for row in read_jsonl(file)]
    assert len(paths) == 4 * len(train)
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(json.dumps(row) + "\n" for row in paths if row["sample"] < 3))
    theirs = tmp_path / "theirs.jsonl"
    reference_selection(tmp_path / "world" / "train.jsonl", [fewer], theirs, Levenshtein.distance)
    assert (tmp_path / SET / "selected.k3.jsonl").read_bytes() == theirs.read_bytes()
    assert f"--config.data={tmp_path}/{SET}/selected.k3.jsonl" in (tmp_path / RFT / "stage.json").read_text()

    # Accuracies, as its evaluation counts them.
    gold = [answer(row["answer"]) for row in test]
    for name in (f"{SFT}-eval", f"{RFT}-eval"):
        (greedy, votes) = (
            {(row["problem"], row["sample"]): answer(row["response"]) for file in files for row in read_jsonl(file)}
            for files in (
                (tmp_path / name / "paths").glob("*.jsonl"), (tmp_path / name / "votes" / "paths").glob("*.jsonl"),
            )
        )  # fmt: skip
        found = json.loads((tmp_path / name / "metrics.json").read_text())["graders"]["reference"]
        expected = sum(right(greedy[number, 0], each) for number, each in enumerate(gold))
        assert found["maj1@1"]["mean"] == pytest.approx(expected / len(gold))
        expected = 0
        for number, each in enumerate(gold):
            counts = Counter(text for n in range(4) if (text := votes[number, n]) is not None)
            expected += right(max(counts, key=counts.get, default=None), each)
        assert found["maj1@4"]["mean"] == pytest.approx(expected / len(gold))


def test_the_full_size_is_the_presets():
    """Nothing but the presets, on one sample less than there are."""
    config = faithful.get_config("full")
    stages = [stage for stage in config.stages if stage.name.startswith("7B-2") and "faithful" in stage.name]
    for stage in stages:
        match stage:
            case TrainStage():
                made = dataclasses.replace(stage_settings.training(config, stage), model=None)
                assert made == sft.get_config("llama2-7b:paper")
            case SampleStage():
                made = stage_settings.sampling(config, stage)
                paper = sample.get_config("paper")
                assert made == dataclasses.replace(paper, task="gsm8k", name=stage.model)
            case SelectStage():
                assert (stage.rules, stage.ks) == ("reference", (99,))
            case EvaluateStage():
                made = stage_settings.evaluation(config, stage)
                assert made == dataclasses.replace(evaluate.get_config("paper"), task="gsm8k", name=stage.model)
    assert [stage.k for stage in stages if isinstance(stage, TrainStage)] == [None, 99]
    assert len(stages) == 6


@pytest.mark.parametrize("size", ["smollm2", "tiny"])
def test_smaller_sizes_have_the_presets_surprises(size):
    config, paper = faithful.get_config(size), sft.get_config("llama2-7b:paper")
    trained = [stage for stage in config.stages if isinstance(stage, TrainStage) and "faithful" in stage.name]
    for made in (stage_settings.training(config, stage) for stage in trained):
        for field in ("border", "max_length", "loss", "loss_group", "decay"):
            assert getattr(made, field) == getattr(paper, field)
        assert made.begin_token == {"smollm2": 0, "tiny": 2}[size]  # the end token of the model
    assert len(trained) == 2
