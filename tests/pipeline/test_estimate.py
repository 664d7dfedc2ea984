"""What a plan estimates."""

import dataclasses
import json

import jax
import pytest

from rft_jax.config import EvaluateStage, LossStage, PipelineConfig, TrainStage, WorldStage
from rft_jax.config_flag import load
from rft_jax.hf import config as hf_config
from rft_jax.model.architecture import SIZES
from rft_jax.pipeline import dry_run, estimate, stage_settings
from rft_jax.pipeline.pace import Assumed, MeanLengths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.sample import capacity


def test_distinct_paths_are_the_papers_at_its_k():
    assert [estimate.distinct(k) for k in (1, 12, 100)] == pytest.approx([1.17, 2.20, 5.25])
    curve = [estimate.distinct(k) for k in range(1, 400)]
    assert curve == sorted(curve)


def test_a_plan_for_gsm8k_counts_as_the_paper_does(tmp_path):
    """7B on the paper's problems: 3 epochs of 232 tokens, 747,300 samples; selection keeps about 47,000 rows."""
    folder = tmp_path / "llama"
    folder.mkdir()
    hf_config.write(folder, SIZES["llama2-7b"], "bfloat16", {})
    question, answer = "q" * 235, "a" * 286  # as long as GSM8K's on average
    problems = tmp_path / "train.jsonl"
    problems.write_text((json.dumps({"question": question, "answer": answer}) + "\n") * 7473)
    config = load(f"{stage_settings.root()}/configs/gsm8k.py:llama2-7b={folder}", PipelineConfig)
    fields = {"problems": str(problems), "test": str(problems)}
    config = PipelineConfig(**{**{f: getattr(config, f) for f in config.__dataclass_fields__}, **fields})
    found = {each.name: each for each in estimate.estimate(config, tmp_path, Assumed("a100-80g", 8))}
    assert found["llama2-7b-sft"].flops == pytest.approx(6 * 6.74e9 * 7473 * 3 * 230, rel=0.05)
    assert found["llama2-7b-paths1"].samples == 747_300
    assert found["llama2-7b-rft1"].flops / found["llama2-7b-sft"].flops == pytest.approx(47_000 / 7_473, rel=0.02)
    # No faster than the ceiling of 13,600 tokens per second and GPU (7B, shared prompts), nor hopelessly slow.
    ceiling = 747_300 * 130 / (8 * 13_600)
    assert ceiling < found["llama2-7b-paths1"].seconds < 3 * ceiling


@pytest.mark.parametrize(
    ("told", "expected"),
    [(estimate.duration(40), "40 s"), (estimate.duration(700), "12 min"), (estimate.duration(12_600), "3.5 h"),
     (estimate.storage(40_200), "40 kB"), (estimate.storage(2.7e10), "27 GB")],
)  # fmt: skip
def test_numbers_for_people(told, expected):
    assert told == expected


class _Asked:
    """A pace that keeps what it is asked."""

    starting, on_cpu = 1.0, True

    def __init__(self):
        self.trained, self.sampled = [], []

    def lengths(self, problems, count):
        return MeanLengths(count, 100.0, 50.0)

    def training(self, config, model, tokens):
        self.trained.append(tokens)
        return tokens

    def sampling(self, config, model, of, k):
        self.sampled.append((of.problems, of.response, k))
        return float(k)


def test_what_a_stage_is_asked_to_do_is_what_is_estimated(tmp_path):
    tiny = load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig)
    more = (*tiny.stages, EvaluateStage(name="eval-base", model="base", settings=("k=3",)))
    pace = _Asked()
    found = estimate.estimate(dataclasses.replace(tiny, stages=more), tmp_path, pace)
    assert pace.trained[0] == 40 * 2 * 150  # two epochs
    assert pace.sampled == [(40, 50, 4), (8, 50, 1), (8, 64, 1), (8, 64, 3)]  # untrained, it may go on to the limit
    by_name = {each.name: each for each in found}
    assert (by_name["eval-base"].samples, by_name["eval-base"].seconds) == (8 * 4, 1 + 1 + 3)


def test_texts_are_counted(tmp_path):
    tiny = load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig)
    world = WorldStage(name="corpus", train=1, test=1, seed=0, corpus=4_000)
    later = TrainStage(name="later", model="base", data="corpus/corpus.jsonl", settings=("epochs=1", "fraction=1/2"))
    (tmp_path / "text.txt").write_text("x" * 1_000)
    texts = {"made": "corpus/corpus.jsonl", "file": str(tmp_path / "text.txt"), "hub": "hf:org/name:a:test"}
    measured = (LossStage(name=name, model="base", text=text) for name, text in texts.items())
    pace = _Asked()
    stages = (*tiny.stages, world, later, *measured)
    found = estimate.estimate(dataclasses.replace(tiny, stages=stages), tmp_path, pace)
    assert pace.trained[-1] == 2_000 * 150
    flops = {each.name: each.flops for each in found}
    assert flops["made"] == pytest.approx(flops["file"] * 4_000 * estimate.ROW_BYTES / 1_000)
    assert flops["file"] > flops["hub"] == 0


def test_a_share_of_the_problems_is_counted(tmp_path):
    files = {}
    for name, count in (("problems", 200), ("test", 50)):
        files[name] = str(tmp_path / f"{name}.jsonl")
        write_problems(files[name], [Problem(f"{number}?", "#### 1") for number in range(count)])
    tiny = load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig)
    stages = tuple(stage for stage in tiny.stages if stage.name != "world")
    part = dataclasses.replace(tiny, **files, fraction=0.1, test_fraction=0.5, stages=stages)
    pace = _Asked()
    estimate.estimate(part, tmp_path / "out", pace)
    assert pace.sampled == [(20, 50, 4), (25, 50, 1)]


def test_a_model_that_does_not_fit_is_not_measured(tmp_path, monkeypatch):
    from rft_jax.pipeline import measured

    monkeypatch.setattr(capacity, "host_bytes", lambda: 1_000_000)
    monkeypatch.setattr(measured.runtime, "start", lambda: None)
    told = dry_run.plan(
        load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig), tmp_path, hardware=None, chips=None
    )
    assert "assumed for a CPU, not measured: sft takes about 0.0 GB" in told


def test_each_stage_needs_its_own_room():
    from rft_jax.pipeline import room

    tiny = load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig)
    parameters = hf_config.read(stage_settings.root() / "rft_jax" / "world" / "base_model").parameters
    sft, *others, rft, last = tiny.stages[1:]
    adapted = dataclasses.replace(rft, settings=("lora.rank=4",))
    more = dataclasses.replace(last, name="wide", settings=("mesh.data=4", "mesh.fsdp=2", "compute=bfloat16"))
    found = dict(room.needed(dataclasses.replace(tiny, stages=(tiny.stages[0], sft, *others, adapted, last, more))))
    assert list(found) == ["sft", "paths", "rft", "eval", "wide"]
    assert found["sft"] == 24 * parameters
    assert found["eval"] == found["paths"] == pytest.approx(1.2 * 4 * parameters * jax.device_count())
    assert found["wide"] == pytest.approx(1.2 * 2 * parameters * 4)  # replicas
    assert 4 * parameters < found["rft"] < 0.5 * found["sft"]


@pytest.mark.parametrize(
    ("kind", "told"),
    [("NVIDIA H100 80GB HBM3", f"assumed for {jax.device_count()} × h100"), ("cpu", "assumed for a CPU")],
)
def test_what_is_assumed_is_this_machine(tmp_path, monkeypatch, kind, told):
    from rft_jax.pipeline import measured

    class Device:
        device_kind = kind

    monkeypatch.setattr(capacity, "host_bytes", lambda: 1_000_000)
    monkeypatch.setattr(measured.runtime, "start", lambda: None)
    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    tiny = load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig)
    assert told in dry_run.plan(tiny, tmp_path, hardware=None, chips=None)


@pytest.fixture
def compilation_cache():
    """Is on again after a measurement."""
    before = jax.config.jax_enable_compilation_cache
    yield
    jax.config.update("jax_enable_compilation_cache", before)


@pytest.mark.slow
@pytest.mark.usefixtures("compilation_cache")
def test_a_measured_pace_tells_what_takes_longer(monkeypatch):
    from rft_jax.pipeline import measured

    monkeypatch.setattr(measured.runtime, "start", lambda: None)
    tiny = load(f"{stage_settings.root()}/tests/pipeline/tiny.py", PipelineConfig)
    _, sft, paths, *_ = tiny.stages
    model = SIZES["world"]
    pace = measured.Measured(tiny)
    training, sampling = stage_settings.training(tiny, sft), stage_settings.sampling(tiny, paths)
    once, thrice = (pace.training(training, model, 1e6 * times) for times in (1, 3))
    assert thrice - once == pytest.approx(2 * (pace.training(training, model, 2e6) - once))
    assert thrice > once > 0
    of = MeanLengths(40, 60.0, 50.0)
    few, many = (pace.sampling(sampling, model, of, k) for k in (4, 40))
    assert many > few > 0
    assert pace.took > 0
