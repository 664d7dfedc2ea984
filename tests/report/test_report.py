"""The report: its contents, and that a real browser shows it."""

import contextlib
import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
from fractions import Fraction

import pytest

from rft_jax.errors import UserError
from rft_jax.pipeline.stage_settings import root
from rft_jax.records import manifest
from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.report import audits, losses, report, sections, summary
from rft_jax.report.collect import collect
from rft_jax.report.kinds import fraction_of, kind_of
from rft_jax.report.sections import training_of
from rft_jax.report.verdicts import judge
from rft_jax.task import grader as graders
from rft_jax.task.equations import ANNOTATED, PLAIN

SECTIONS = (
    "Results", "Comparisons",
    "From samples to selected", "Against k", "Against the fraction of the data", "Provenance", "Training",
    "Lengths", "Problems", "Suspect labels", "Where the graders disagree", "Settings",
)  # fmt: skip


@pytest.fixture(scope="session")
def page(workdir):
    """Returns the report's HTML."""
    return report.write(workdir).read_text(encoding="utf-8")


class Parsed(html.parser.HTMLParser):
    """What a page contains: elements, texts, and whatever would be fetched."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.fetched, self.ids, self.links = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:,")):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href") and value.startswith("#"):
                self.links.append(value[1:])

    def handle_data(self, data):
        self.texts.append(data)


def test_every_section_is_there_with_its_figures(page, workdir):
    parsed = Parsed(page)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == list(SECTIONS)
    text = " ".join(parsed.texts)
    assert parsed.tags.count("svg") >= 9
    assert parsed.tags.count("details") >= 20 + 5
    union = json.loads((workdir / "select-union" / "selected.jsonl.stats.json").read_text())["united"]
    for number in (union["samples"], union["correct"], union["distinct"]):
        assert f"{number:,}" in text
    accuracy = json.loads((workdir / "eval-rft" / "metrics.json").read_text())["graders"]["reference"]["maj1@1"]
    assert f"{100 * accuracy['mean']:.1f} ({100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f})" in text
    assert "41.6 (SFT)" in text
    assert "(RFT" not in text  # k and temperature are not the paper's
    assert "424242" in text
    assert "a kept path has the same list of equations" in text
    assert "right answer, but 1+1=3 does not hold" in text


def test_the_page_fetches_nothing_and_runs_nothing(page):
    parsed = Parsed(page)
    assert parsed.fetched == []
    assert "script" not in parsed.tags
    assert "&lt;script&gt;document.title" in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_unique_and_links_have_targets(page):
    parsed = Parsed(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert set(parsed.links) <= set(parsed.ids)


def test_plots_take_the_pages_colours(page):
    svgs = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert all("currentColor" in svg for svg in svgs)
    assert not any("#010203" in svg or "#000000" in svg or "#ffffff" in svg for svg in svgs)


def test_the_same_run_gives_the_same_page(page, workdir):
    assert report.write(workdir).read_text(encoding="utf-8") == page


def test_kinds_of_models(workdir):
    run = collect(workdir)
    kinds = {name: kind_of(run, name) for name in ("base", "sft-a", "half", "rft", "rft-union")}
    assert kinds == {
        "base": "base",
        "sft-a": "sft",
        "half": "sft, part",
        "rft": "rft",
        "rft-union": "union, other paths",
    }


def test_a_later_round_is_no_union_of_the_papers(workdir):
    run = collect(workdir)
    stages = run.plan["stages"]
    again = {"name": "paths-2", "kind": "sample", "model": "rft"}
    chosen = {"name": "select-2", "kind": "select", "paths": ["paths-a", "paths-2"], "rules": "paper"}
    trained = next(stage for stage in stages if stage["name"] == "rft") | {"name": "rft-2", "data": "select-2"}
    later = dataclasses.replace(run, plan=run.plan | {"stages": [*stages, again, chosen, trained]})
    assert kind_of(later, "rft-2") == "later round"


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        ("reference", "rft"), ("nearest", "nearest"), ("random", "random"), ("random:3", "random:3"),
        ("none", "no dedup"), ("rules/shortest.py", "shortest"),
    ],
)  # fmt: skip
def test_a_set_by_another_rule_is_not_beside_the_papers_figure(workdir, rules, kind):
    run = collect(workdir)
    stages = [stage | {"rules": rules} if stage["name"] == "select-a" else stage for stage in run.plan["stages"]]
    changed = dataclasses.replace(run, plan=run.plan | {"stages": stages, "k": 100, "temperature": 0.7})
    assert kind_of(changed, "rft") == kind
    shown = "47.5 (RFT, k = 100)" in sections.results(changed)
    assert shown == (kind == "rft")


def test_sets_that_repeat_lists_tell_no_distinct_paths(workdir):
    run = collect(workdir)
    drawn = dataclasses.replace(
        run.selections[-1], name="drawn", statistics=run.selections[-1].statistics | {"rules": "random:3"}
    )
    changed = dataclasses.replace(run, selections=[*run.selections, drawn])
    assert sections.against_k(changed) == sections.against_k(run)
    assert sections.browse(changed) == sections.browse(run)


def test_a_fraction_may_be_set_for_all_trainings(workdir):
    run = collect(workdir)
    part = dataclasses.replace(run, plan=run.plan | {"train_settings": ["fraction=1/4"]})
    assert [fraction_of(part, part.stage(name)) for name in ("sft-a", "half")] == [Fraction(1, 4), Fraction(1, 2)]
    assert kind_of(part, "sft-a") == "sft, part"
    assert training_of(part, "sft-a")[0] == "10"  # of 40 problems


def test_other_problems_have_results_of_their_own(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    plan = json.loads((workdir / "pipeline.json").read_text())
    anew = [
        each | {"name": f"fresh{each['name']}", "problems": "world/fresh.jsonl"}
        for each in plan["stages"] if each["kind"] == "evaluate"
    ]  # fmt: skip
    (tmp_path / "run" / "pipeline.json").write_text(json.dumps(plan | {"stages": plan["stages"] + anew}))
    for number, name in enumerate(("eval-sft", "eval-rft-k3", "eval-rft")):
        fields = json.loads((workdir / name / "metrics.json").read_text())
        fields |= {"problems": "/a/world/fresh.jsonl", "fingerprint": "other", "count": 1200, "against": []}
        fields["graders"]["reference"]["maj1@1"] = {"mean": 0.875 + number / 100, "low": 0.8, "high": 0.95}
        (tmp_path / "run" / f"fresh{name}").mkdir()
        (tmp_path / "run" / f"fresh{name}" / "metrics.json").write_text(json.dumps(fields))
    found = dict(re.findall(r"<h2>(.*?)</h2>(.*?)</section>", report.write(tmp_path / "run").read_text(), re.DOTALL))
    assert list(found)[:2] == ["Results on test, 60 problems", "Results on world/fresh.jsonl, 1,200 problems"]
    assert ["87.5" in found[name] for name in list(found)[:2]] == [False, True]
    assert "Percent of 1,200 held-out problems" in found["Results on world/fresh.jsonl, 1,200 problems"]
    assert "Accuracy against k on world/fresh.jsonl, 1,200 problems" in found["Against k"]
    told = summary.table(tmp_path / "run")
    assert told.index("test, 60 problems") < told.index("rft-union") < told.index("world/fresh.jsonl, 1,200 problems")
    assert told.index("world/fresh.jsonl, 1,200 problems") < told.index("87.5 (80.0 to 95.0)")


def test_losses_on_one_text_are_in_one_table(workdir, tmp_path):
    shutil.copytree(workdir / "select-a", tmp_path / "run" / "select-a")
    for name, text, low in (("one", "a", 1.5), ("other", "a", None), ("elsewhere", "b", 2.25)):
        loss = {"mean": 2.345, "low": low, "high": 3.0}
        fields = {
            "name": name, "text": [f"{text}.jsonl"], "fields": ["text"], "text_fingerprint": text, "documents": 7,
            "bytes": 1234, "tokens": 300, "window": 2048, "stride": 1024, "nats_per_token": loss, "bits_per_byte": loss,
        }  # fmt: skip
        (tmp_path / "run" / name).mkdir()
        (tmp_path / "run" / name / "loss.json").write_text(json.dumps(fields))
    shown = dict(re.findall(r"<h2>(.*?)</h2>(.*?)</section>", report.write(tmp_path / "run").read_text(), re.DOTALL))
    parsed = Parsed(shown["Loss on text"])
    assert parsed.tags.count("table") == 2
    assert {"a.jsonl (text): 7 documents, 1,234 bytes.", "2.345 (1.500 to 3.000)", "2.345", "other"} <= set(
        parsed.texts
    )


@pytest.mark.parametrize("text", ['{"name": "x"', '{"name": "x"}', "[]", '{"name": "x", "nats_per_token": 1}'])
def test_a_loss_that_cannot_be_read_is_one_clear_line(workdir, tmp_path, text):
    (tmp_path / "of-a-model").mkdir()
    (tmp_path / "of-a-model" / "loss.json").write_text(text)
    with pytest.raises(UserError, match=r"of-a-model/loss\.json (is not JSON|holds no JSON|is no loss)"):
        losses.section(dataclasses.replace(collect(workdir), folder=tmp_path))


def test_unfinished_work_is_left_out(workdir, tmp_path):
    for name in ("select-a", "paths-a"):
        shutil.copytree(workdir / name, tmp_path / name)
    shutil.copytree(workdir / "paths-a", tmp_path / "unfinished evaluation")
    (tmp_path / "unfinished evaluation" / "paths" / "manifest.json").write_text('{"temperature": 0.0}')
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "stage.json").write_text('{"done": false, "seconds": 0}')
    run = collect(tmp_path)
    assert [sampling.name for sampling in run.samplings] == ["paths-a"]
    assert "report" not in run.records


def test_stages_run_by_hand_are_reported_too(workdir, tmp_path):
    for name in ("select-a", "paths-a", "sft-a", "eval-sft"):
        shutil.copytree(workdir / name, tmp_path / name)
    text = " ".join(Parsed(report.write(tmp_path).read_text()).texts)
    assert "stages run by hand" in text
    assert "From samples to selected" in text


def test_an_empty_or_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="nothing to report in"):
        report.write(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        report.write(tmp_path / "nowhere")
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json is not JSON"):
        report.write(tmp_path)


def test_paths_of_other_problems_are_refused(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    file = tmp_path / "run" / "paths-a" / "paths" / "manifest.json"
    for told, refused in (
        (manifest.of_problems(collect(workdir).problems), False),
        ({"count": 1, "fingerprint": "x"}, True),
    ):
        file.write_text(json.dumps({"temperature": 0.9, "problems": told}))
        with pytest.raises(UserError, match="sampled from other problems") if refused else contextlib.nullcontext():
            collect(tmp_path / "run")


def audit(examples):
    return {
        "paths": 200, "disagree": len(examples), "share": len(examples) / 200, "unreadable_gold_answers": 3,
        "examples": examples,
    }  # fmt: skip


def test_where_graders_disagree_is_shown_with_both_answers(workdir):
    run = collect(workdir)
    example = {"problem": 7, "model": "<m>", "sample": 2, "correct_by": "robust"}
    example["answers"] = {"reference": None, "robust": "<b>18</b>"}
    first = run.evaluations[0]
    first = dataclasses.replace(first, metrics=first.metrics | {"audits": {"robust": audit([example])}})
    shown = audits.disagreements(dataclasses.replace(run, evaluations=[first]))
    texts = Parsed(shown).texts
    assert {"1 of 200", "0.50%", "<m>, 2", "<b>18</b>", "–", "3"} <= set(texts)
    assert "<b>" not in shown
    nothing = dataclasses.replace(run, evaluations=[], selections=[])
    assert audits.disagreements(nothing) == ""


def test_an_evaluation_by_another_grader_is_shown_by_it(workdir):
    run = collect(workdir)
    first = run.evaluations[0]
    measures = {"maj1@1": {"mean": 0.123, "low": 0.1, "high": 0.2}}
    other = dataclasses.replace(
        first, metrics=first.metrics | {"grader": "letter", "graders": {"letter": measures, "dumb": {}}}
    )
    texts = Parsed(sections.results(dataclasses.replace(run, evaluations=[other]))).texts
    assert "12.3 (10.0 to 20.0)" in texts
    assert "maj1@1, dumb" in texts


def test_every_verdict_says_why():
    problem = Problem("q", "<<1+2=3>>3\n#### 3")
    texts = {
        "<<2+1=3>>\n#### 3": "a new list of equations",
        "three <<2+1=3>>\n#### 3": "a kept path has the same list",
        "<<2+2=3>>\n#### 3": "but 2+2=3 does not hold",
        "<<2+2=4>>\n#### 4": "answer 4, but the gold answer is 3",
        "no idea": "no answer that the grader reference can read",
    }
    paths = [Path(0, sample, "m", text) for sample, text in enumerate([*texts, "no idea"])]
    kept = ["<<2+1=3>>\n#### 3"]
    drawn = judge(problem, paths, kept, graders.load("reference"), ANNOTATED, (), distinct=False)
    why = {verdict.response: verdict.why for verdict in drawn}
    assert [why[text] for text in list(texts)[:2]] == ["right answer, selected", "right, but not selected"]
    verdicts = judge(problem, paths, kept, graders.load("reference"), ANNOTATED, ())
    assert [verdict.kept for verdict in verdicts] == [True, False, False, False, False]
    assert all(texts[verdict.response] in verdict.why for verdict in verdicts)
    assert [verdict.count for verdict in verdicts if verdict.response == "no idea"] == [2]


def test_a_wrong_equation_in_plain_text_is_named():
    problem = Problem("q", "1 + 2 = 3\n#### 3")
    paths = [Path(0, 0, "m", "1 + 1 = 2, then 2 + 2 = 3\n#### 3")]
    (verdict,) = judge(problem, paths, [], graders.load("reference"), PLAIN, ())
    assert "but 2+2=3 does not hold" in verdict.why


def chromium():
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("needs Chromium, for instance: apt-get install chromium")
    return [
        found, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--enable-logging=stderr", "--v=0",
    ]  # fmt: skip


@pytest.mark.slow
def test_chromium_opens_it_without_a_complaint(page, workdir, tmp_path):
    command = [*chromium(), f"--user-data-dir={tmp_path}", "--dump-dom", (workdir / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=root())
    assert ":CONSOLE" not in done.stderr
    assert "<title>Rejection-sampling fine-tuning</title>" in done.stdout
    assert done.stdout.count("<svg") == page.count("<svg ")
    assert len(re.findall(r"<h2", done.stdout)) == len(SECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chromium_paints_words_and_lines_in_both_schemes(page, workdir, tmp_path, scheme):
    """In each scheme the page's corner has the background's brightness, and enough of the rest has the opposite one."""
    from PIL import Image

    shot = tmp_path / "shot.png"
    dark = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    command = [
        *chromium(), *dark, f"--user-data-dir={tmp_path}", f"--screenshot={shot}", "--window-size=1100,2400",
        (workdir / "report.html").as_uri(),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    grey = Image.open(shot).convert("L")
    paper = grey.getpixel((3, 3))
    assert paper > 240 if scheme == "light" else paper < 40
    histogram = grey.histogram()
    inked = sum(histogram[:110]) if scheme == "light" else sum(histogram[150:])
    assert inked > 0.01 * grey.width * grey.height


def test_no_two_things_on_the_page_have_one_id(workdir, tmp_path):
    """Plots share a page: with one id in two of them, the second would take its parts from the first."""
    shutil.copytree(workdir, tmp_path / "run")
    shutil.copytree(workdir / "select-union", tmp_path / "run" / "select-another-union")
    found = re.findall(r'\bid="([^"]+)"', report.write(tmp_path / "run").read_text())
    assert len(found) > 100
    assert len(found) == len(set(found))
