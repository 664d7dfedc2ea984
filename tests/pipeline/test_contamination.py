"""The comparison of test with training problems, as a stage that each pipeline has."""

import dataclasses
import json
import re

import pytest

from rft_jax.config import ContaminationStage, PipelineConfig
from rft_jax.config_flag import load
from rft_jax.contamination.compare import compare
from rft_jax.doctor import plans
from rft_jax.pipeline import contamination, estimate, plan_file, recipe
from rft_jax.pipeline.pace import Assumed
from rft_jax.pipeline.stage_settings import root
from rft_jax.records.problem import write_problems
from rft_jax.world import generate


@pytest.fixture
def config():
    return load(f"{root()}/tests/pipeline/tiny.py", PipelineConfig)


def of(config, workdir):
    return [stage for stage in recipe.stages(config, workdir) if stage.kind == "contamination"]


def test_it_comes_when_the_problems_exist(config, tmp_path):
    order = [stage.name for stage in recipe.stages(config, tmp_path)]
    assert order[:3] == ["world", "contamination", "sft"]
    part = dataclasses.replace(config, fraction=0.5)
    assert [stage.name for stage in recipe.stages(part, tmp_path)][:3] == ["world", "problems", "contamination"]
    (stage,) = of(part, tmp_path)
    assert stage.after == ("problems",)
    assert stage.arguments() == [
        "--task=gsm8k", f"--train={tmp_path}/problems/train.jsonl", f"--test={tmp_path}/problems/test.jsonl",
        f"--output={tmp_path}/contamination",
    ]  # fmt: skip
    assert "contamination" in [stage["kind"] for stage in plan_file.describe(config)["stages"]]


def test_who_wants_none_or_has_one_gets_no_other(config, tmp_path):
    assert of(dataclasses.replace(config, contamination=False), tmp_path) == []
    own = ContaminationStage(name="leaks", corpus=("a,b/*.txt", "hf:x/y:z:train"))
    mine = dataclasses.replace(config, stages=(*config.stages, own))
    (stage,) = of(mine, tmp_path)
    assert (stage.name, stage.reads["--corpus"]) == ("leaks", own.corpus)
    assert '--corpus="a,b/*.txt",hf:x/y:z:train' in stage.arguments()
    assert contamination.compared(mine) is mine


def test_corpora_are_compared_checked_and_reckoned_with(config, tmp_path):
    (tmp_path / "corpus.txt").write_bytes(bytes(20_000_000))
    more = dataclasses.replace(config, corpora=(str(tmp_path / "*.txt"),))
    (stage,) = of(more, tmp_path / "out")
    assert stage.reads["--corpus"] == more.corpora
    assert plans.of(more, tmp_path / "out", on_cpu=True).inputs["corpus of contamination"] == more.corpora
    seconds = [
        {each.name: each.seconds for each in estimate.estimate(known, tmp_path / "out", Assumed("cpu", 1))}
        for known in (config, more)
    ]
    assert seconds[1]["contamination"] - seconds[0]["contamination"] == pytest.approx(10)


def test_the_pipeline_warns_of_what_is_the_same_alone(tmp_path, capsys, config):
    for name in ("train", "test"):
        write_problems(tmp_path / f"{name}.jsonl", generate.problems(name, 40, 0))
    files = (str(tmp_path / f"{name}.jsonl") for name in ("test", "train"))
    compare(*files, (), tmp_path / "contamination", task="gsm8k", workers=1)
    contamination.warn(recipe.stages(config, tmp_path), tmp_path)
    out, err = capsys.readouterr()
    assert err == ""
    assert re.match(
        r"note: among the training problems, [1-9]\d* of the 40 test problems occur with other numbers or names, and "
        r"[1-9]\d* in nearly the same words or in part: accuracy on these tells of familiar kinds of problem, ",
        out,
    )


def test_the_pipeline_warns(config, tmp_path, capsys):
    stages = recipe.stages(config, tmp_path)
    contamination.warn(stages, tmp_path)
    assert capsys.readouterr().err == ""
    problems = generate.problems("test", 8, 0)
    for name in ("train", "test"):
        write_problems(tmp_path / f"{name}.jsonl", problems[: 5 if name == "train" else 8])
    files = (str(tmp_path / f"{name}.jsonl") for name in ("test", "train"))
    compare(*files, (), tmp_path / "contamination", task="gsm8k", workers=1)
    contamination.warn(stages, tmp_path)
    told = "warning: 5 of the 8 test problems are among the training problems: accuracy on them says nothing\n"
    assert capsys.readouterr() == ("", told)
    assert json.loads((tmp_path / "contamination" / "contamination.json").read_text())["task"] == "gsm8k"
