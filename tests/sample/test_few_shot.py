"""Sampling after worked examples: the examples are read once for all problems, and nothing else changes."""

import dataclasses
import json

import numpy as np
import pytest

from rft_jax import config_flag
from rft_jax.config import SampleConfig
from rft_jax.data import tokenizer as tokenizers
from rft_jax.data.encode import Encoder
from rft_jax.records.path import read_paths
from rft_jax.records.problem import read_problems
from rft_jax.sample import loop, settings, shards
from rft_jax.sample.job import Response
from rft_jax.task.template import text_of
from rft_jax.task.templates.paper import Paper
from rft_jax.task.templates.shots import Shots

SHOTS, COUNT = 2, 6


def test_greedy_paths_equal_transformers(model_folder, problems_file, tmp_path):
    torch = pytest.importorskip("torch", reason="the oracle is transformers' generate: install the extra `torch`")
    import transformers

    few = tmp_path / "few.jsonl"
    few.write_text("".join(problems_file.read_text().splitlines(keepends=True)[:COUNT]))
    config = dataclasses.replace(
        config_flag.load("configs/sample.py", SampleConfig), model=str(model_folder), problems=str(few), k=1,
        temperature=0.0, max_new_tokens=12, shots=SHOTS, shots_from=str(problems_file), compute="float32",
    )  # fmt: skip
    loop.sample(config, tmp_path / "out")
    (file,) = (tmp_path / "out" / "paths").glob("*.jsonl")
    paths = {path.problem: path for path in read_paths(file)}

    tokenizer = tokenizers.load(model_folder)
    template = settings.template(config, "gsm8k")
    texts = [text_of(template.prompt(problem, tokenizer)) for problem in read_problems(few)]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(model_folder, attn_implementation="eager")
    for number, text in enumerate(texts):
        assert text.count("Question:") == SHOTS + 1
        prompt = torch.tensor(tokenizer([text])["input_ids"])
        out = theirs.generate(prompt, do_sample=False, max_new_tokens=12, pad_token_id=0)[0, prompt.shape[1] :]
        expected = tokenizer.decode(out, skip_special_tokens=True).split(Shots.STOP)[0]
        assert paths[number].response == expected
    assert json.loads((tmp_path / "out" / "paths" / "manifest.json").read_text())["stop_texts"] == [Shots.STOP]


def test_the_next_question_is_no_part_of_the_answer(model_folder):
    tokenizer = tokenizers.load(model_folder)
    text = f" 1+1=2\n#### 2{Shots.STOP} What is"
    few, none = (
        Encoder(tokenizer, template, bos_tokens=(1,), eos_token=2, vocabulary=320) for template in (Shots(()), Paper())
    )
    response = Response(0, 0, np.array(tokenizer.encode(text, add_special_tokens=False), np.int32), ended=False)
    path = shards.path_of(response, few, "m")
    assert (path.response, path.finish) == (" 1+1=2\n#### 2", "stop")
    shortest = next(n for n in range(99) if Shots.STOP in tokenizer.decode(response.tokens[:n]))
    assert path.tokens == shortest < len(response.tokens)
    assert shards.path_of(response, none, "m").finish == "length"
