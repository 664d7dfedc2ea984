"""Evaluations by cluster: problems made from one template resemble each other."""

import dataclasses
import json

import pytest

from rft_jax.config import EvaluateConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.evaluate import groups, loop
from rft_jax.evaluate.grade import Result, describe
from rft_jax.evidence.compare import compare
from rft_jax.evidence.intervals import pass_at_k, share
from rft_jax.pipeline.stage_settings import root
from rft_jax.records.path import Path, write_paths

TEMPLATES, COPIES = 12, 5
K = 2


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Returns the settings of an evaluation; a model solves all instances of the templates below its number."""
    rows = [
        {"question": f"{template}.{copy}?", "answer": "#### 7", "template": template, "kind": template % 2}
        for template in range(TEMPLATES)
        for copy in range(COPIES)
    ]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def sample(config, workdir):
        (workdir / "paths").mkdir(parents=True, exist_ok=True)
        solved = [row["template"] < int(config.model) for row in rows]
        paths = [
            Path(number, sample, config.model, f"#### {7 if right and sample != 1 else 8}")
            for number, right in enumerate(solved)
            for sample in range(config.k)
        ]
        write_paths(workdir / "paths" / "0.jsonl", paths)

    monkeypatch.setattr(loop, "sample", sample)
    made = load(f"{root()}/configs/evaluate.py", EvaluateConfig)
    return dataclasses.replace(
        made, model="4", name="m", problems=str(tmp_path / "problems.jsonl"), k=K, cluster="template", groups=("kind",)
    )


NAMES = [str(number) for number in range(TEMPLATES) for _ in range(COPIES)]


def right(skill):
    return [number < skill for number in range(TEMPLATES) for _ in range(COPIES)]


def test_all_intervals_go_by_cluster(config, tmp_path):
    printed = loop.evaluate(config, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    measures = metrics["graders"][metrics["grader"]]
    assert metrics["cluster"] == {"field": "template", "count": TEMPLATES}
    assert "intervals by template, 12 clusters" in printed
    assert "a guess" not in printed
    assert measures["maj1@1"] == dataclasses.asdict(share(right(4), NAMES))
    passed = [pass_at_k(K, 1 if each else 0, 1) for each in right(4)]
    assert measures["pass@1"] == dataclasses.asdict(share(passed, NAMES))
    plain = share(right(4))
    wide = measures["maj1@1"]
    assert wide["high"] - wide["low"] > 1.8 * (plain.high - plain.low)  # 5 copies that are all alike: √5 times
    kind = metrics["groups"]["kind"][0]  # the templates of even number
    even = [number for number in range(len(NAMES)) if int(NAMES[number]) % 2 == 0]
    assert kind["maj1@1"] == dataclasses.asdict(share([right(4)[n] for n in even], [NAMES[n] for n in even]))
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["cluster"] for line in lines] == NAMES


def test_comparisons_go_by_cluster(config, tmp_path):
    loop.evaluate(config, tmp_path / "first")
    loop.evaluate(dataclasses.replace(config, model="6", against=(str(tmp_path / "first"),)), tmp_path / "second")
    (told,) = json.loads((tmp_path / "second" / "metrics.json").read_text())["against"]
    expected = dataclasses.asdict(compare(right(4), right(6), NAMES))
    assert {name: told[name] for name in expected} == expected
    assert told["p"] > 0.05 > compare(right(4), right(6)).p  # two templates of twelve, not ten problems of sixty


def test_a_group_inside_one_cluster_is_a_sample_of_it():
    results = [Result(each, None, 0, 0) for each in (True, False, True, True)]
    (one, _) = groups.describe({"id": ["0", "0", "1", "1"]}, results, ["0", "0", "1", "1"])["id"]
    assert one["maj1@1"] == dataclasses.asdict(share([True, False]))


def test_what_cannot_be_graded_is_in_no_cluster():
    results = [Result(True, None, 0, 0), None, Result(False, None, 0, 0)]
    found = describe(results, ["a", "b", "c"])["maj1@1"]
    assert found == dataclasses.asdict(share([True, False], ["a", "c"]))


def test_few_clusters_are_warned_about(config, tmp_path):
    assert "2 clusters: fewer than 10" in loop.evaluate(dataclasses.replace(config, cluster="kind"), tmp_path / "out")


def test_a_field_that_is_not_there_is_told_before_anything_is_sampled(config, tmp_path):
    with pytest.raises(UserError, match='no field "tempalte"'):
        loop.evaluate(dataclasses.replace(config, cluster="tempalte"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gsm_symbolic_is_clustered_by_its_templates():
    presets = {
        name: load(f"{root()}/configs/evaluate.py:{name}", EvaluateConfig) for name in ("gsm_symbolic", "gsm_p1")
    }
    assert {preset.cluster for preset in presets.values()} == {"id"}
