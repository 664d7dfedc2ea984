"""The section on rounds: a row each, what the rule says, what is skipped, and a plot."""

import dataclasses
import json
import re

import pytest

from rft_jax.errors import UserError
from rft_jax.evidence.intervals import percent
from rft_jax.pipeline import plan_file
from rft_jax.report import summary
from rft_jax.report.collect import collect
from rft_jax.report.report import write
from rft_jax.report.rounds import section
from rft_jax.rounds import show
from rft_jax.rounds.check import check
from tests.pipeline.test_rounds import CONFIG
from tests.report import evaluated
from tests.rounds import made

ROUNDS = {"round-1": [[1, 2, 3, 0]] * 12, "round-2": [[1, 1, 1, 1]] * 12}


def checked(folder, rounds, models, *, logprobs=True):
    """Writes a series of rounds, each in a folder of its own."""
    before = None
    for (name, ways), model in zip(rounds.items(), models, strict=True):
        pattern = made.write(folder / f"of-{name}", ways, model=model, logprobs=logprobs)
        found, _ = check(str(folder / f"of-{name}" / "problems.jsonl"), [pattern], task="gsm8k", previous=before)
        (folder / name).mkdir()
        before = str(folder / name / "round.json")
        found.write(before)
    return found


@pytest.fixture
def workdir(tmp_path):
    """Returns a run whose second round collapsed, with an evaluation of the model that sampled it."""
    (tmp_path / "run").mkdir()
    checked(tmp_path / "run", ROUNDS, ["model-0", "model-1"])
    (tmp_path / "run" / "pipeline.json").write_text(json.dumps(plan_file.describe(CONFIG)))
    evaluated.evaluation(tmp_path / "run" / "eval-1", "model-1", evaluated.answers(1, 0.4))
    return tmp_path / "run"


def test_a_row_for_each_round(workdir):
    run = collect(workdir)
    html = section(run)
    found = check(
        str(workdir / "of-round-2" / "problems.jsonl"), [f"{workdir}/of-round-2/paths/*.jsonl"], task="gsm8k",
        previous=str(workdir / "round-1" / "round.json"),
    )[0]  # fmt: skip
    for each, word in zip(found.rounds, ("–", "collapse"), strict=True):
        cells = "".join(f"<td>{cell}</td>" for cell in show.cells(each))
        assert f"<td>{each.number}, by {each.model}</td><td>{word}</td>{cells}" in html
    accuracy = percent(run.evaluations[0].measures["maj1@1"])
    assert f"<td>{accuracy}</td></tr></tbody>" in html
    assert html.count("<tr>") == 3
    assert "<p>round 2: stop: collapse: distinct@4 -2.00 (-2.00 to -2.00) against round 1" in html
    assert "<p>Skipped for that reason: set-2, model-2, eval-2.</p>" in html


def test_the_terminal_has_them_in_short(workdir):
    told = summary.table(workdir).split("\n\n")[-1].splitlines()
    assert told[0].split()[:2] == ["round", "by"]
    assert told[2].split() == ["2", "model-1", "100.0", "100.0", "1.00", "100.0", "0.0", "5.0", "0.750", "collapse"]
    assert told[3].startswith("round 2: stop: collapse: distinct@4 -2.00")


def test_the_plot_takes_the_pages_colours(workdir):
    page = write(workdir).read_text(encoding="utf-8")
    [plot] = re.findall(r"<svg [^>]*aria-label=\"Rounds against the first\".*?</svg>", page, re.DOTALL)
    for name in ("pass@1", "pass@4", "distinct@4", "entropy per token"):
        assert name in plot
    assert "currentColor" in plot
    assert not re.search(r"<svg [^>]*(width|height)=", plot)
    assert '<section id="rounds">' in page
    assert "maj1@1, held out" not in plot  # of one model alone there is no line


def test_without_log_probabilities_the_reason_is_told(tmp_path):
    checked(tmp_path, ROUNDS, ["a", "b"], logprobs=False)
    html = section(collect_by_hand(tmp_path))
    assert "<p>No entropy: the paths have no log-probabilities: sample with --config.logprobs=True.</p>" in html
    assert "Skipped" not in html
    assert "entropy per token</" not in html[html.index("<svg") :]


def collect_by_hand(folder):
    """Returns a run without a plan, whose rounds stand beside an evaluation."""
    evaluated.evaluation(folder / "eval", "a", evaluated.answers(1, 0.4))
    return collect(folder)


def test_series_beside_each_other(tmp_path):
    """Two first rounds and what followed one of them: each series once, by its last round."""
    checked(tmp_path, ROUNDS, ["a", "b"])
    checked(tmp_path, {"alone": [[1, 0, 0, 0]] * 12}, ["<i>c</i>"])
    html = section(collect_by_hand(tmp_path))
    assert html.count("<table>") == 2
    assert html.count("<svg") == 1
    assert "1, by &lt;i&gt;c&lt;/i&gt;" in html
    assert "<i>c</i>" not in html


def test_no_rounds_no_section(tmp_path):
    assert section(collect_by_hand(tmp_path)) == ""


def test_a_damaged_round_is_told(workdir):
    (workdir / "round-2" / "round.json").write_text("{")
    with pytest.raises(UserError, match=r"round-2/round.json is no round.json that this version can read"):
        section(collect(workdir))


def test_rounds_that_go_on_are_not_said_to_skip(workdir):
    better = {"round-1": [[1, 0, 0, 0]] * 12, "round-2": [[1, 2, 1, 0]] * 12}
    (workdir / "again").mkdir()
    checked(workdir / "again", better, ["model-0", "model-1"])
    html = section(dataclasses.replace(collect(workdir), folder=workdir / "again"))
    assert "<td>go on</td>" in html
    assert "Skipped" not in html
