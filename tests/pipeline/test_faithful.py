"""Preset `paper` and `rules=reference` in a whole pipeline: each stage did what the reference would have done."""

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

from configs.paper import faithful
from rft_jax.benchmark.select import reference_selection
from rft_jax.errors import UserError
from rft_jax.pipeline import recipe
from rft_jax.pipeline.stage_settings import root
from rft_jax.sample import fingerprint
from rft_jax.task.templates.paper import instruction
from tests.pipeline.tiny_runs import FLAGS
from tests.shared_data import read_jsonl


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
    done = subprocess.run(
        [sys.executable, "launch/pipeline.py", "--config=configs/paper/faithful.py:tiny", f"--workdir={tmp_path}"],
        cwd=root(), env=os.environ | {"XLA_FLAGS": FLAGS}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    train, test = (read_jsonl(tmp_path / "world" / f"{name}.jsonl") for name in ("train", "test"))

    for name in ("sft", "rft"):
        settings = json.loads((tmp_path / name / "run.json").read_text())["settings"]
        told = {"border": "joint", "begin_token": 2, "max_length": 512, "loss": "group_mean", "loss_group": 4}
        assert told.items() <= settings.items()
    for stage, model, problems, drawn in (
        ("paths", "sft", train, {"temperature": 0.7, "top_k": 50}),
        ("sft-eval", "sft", test, {"temperature": 0.0}),
        ("sft-eval/votes", "sft", test, {"temperature": 0.7, "top_k": 50}),
        ("rft-eval/votes", "rft", test, {"temperature": 0.7, "top_k": 50}),
    ):
        manifest = json.loads((tmp_path / stage / "paths" / "manifest.json").read_text())
        prompts = fingerprint.of_tokens(asked_by_the_reference(tmp_path / model / "model", problems))
        assert ({"prompts": prompts, "end_tokens": [2], "prompt_tokens": 256} | drawn).items() <= manifest.items()

    # RFT is on the reference's selection from one sample less than there are.
    paths = [row for file in sorted((tmp_path / "paths" / "paths").glob("*.jsonl")) for row in read_jsonl(file)]
    assert len(paths) == 4 * len(train)
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(json.dumps(row) + "\n" for row in paths if row["sample"] < 3))
    theirs = tmp_path / "theirs.jsonl"
    reference_selection(tmp_path / "world" / "train.jsonl", [fewer], theirs, Levenshtein.distance)
    assert (tmp_path / "set" / "selected.k3.jsonl").read_bytes() == theirs.read_bytes()
    assert f"--config.data={tmp_path}/set/selected.k3.jsonl" in (tmp_path / "rft" / "stage.json").read_text()

    # Accuracies, as its evaluation counts them.
    gold = [answer(row["answer"]) for row in test]
    for name in ("sft-eval", "rft-eval"):
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


def test_the_full_size_has_the_presets_of_its_model(tmp_path):
    made = {
        stage.name: stage.flags
        for stage in recipe.stages(faithful.get_config(f"llama-33b={faithful.BASE}"), tmp_path / "out")
    }
    assert made["sft"][0] == made["rft"][0] == "--config=configs/sft.py:llama-33b:paper"
    assert made["paths"][0] == "--config=configs/sample.py:llama-33b:paper"
    assert made["rft-eval"][0] == "--config=configs/evaluate.py:paper"
    assert {"--rules=reference", "--k=99"} <= set(made["set"])
    assert faithful.get_config("full").train == "configs/sft.py:llama2-7b:paper"
    with pytest.raises(UserError, match="has no 'tinny': give full, tiny or SIZE=FOLDER"):
        faithful.get_config("tinny")
