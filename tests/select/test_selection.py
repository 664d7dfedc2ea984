"""What the selector promises, on generated paths and on the golden set."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.records.lines import has_lone_surrogate
from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.select import passes
from rft_jax.select.selection import select
from rft_jax.task.equations import all_hold, equation_list, find_equations
from rft_jax.task.graders.reference import GRADER as REFERENCE
from rft_jax.task.graders.robust import GRADER as ROBUST
from tests.select.selection import PROBLEMS, Selected, ks_of, path_lists, selected, shuffled
from tests.shared_data import read_jsonl, shared


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists(), st.integers(0, 99), st.integers(1, 4), st.sampled_from(["", ".gz", ".zst"]))
def test_file_order_splitting_and_compression_do_not_matter(
    paths: list[Path], seed: int, files: int, suffix: str
) -> None:
    ks = ks_of(paths, 1, 3)
    once = selected([[paths]], ks=ks)
    again = selected([shuffled(paths, seed, files)], suffix, ks=ks, piece_bytes=150)
    assert again.files == once.files


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists())
def test_selecting_twice_changes_nothing(paths: list[Path]) -> None:
    once = selected([[paths]])
    if once.paths:
        assert selected([[once.paths]]).files["out.jsonl"] == once.files["out.jsonl"]


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists(), st.sampled_from(["paper", "reference"]))
def test_what_is_selected(paths: list[Path], rules: str) -> None:
    rows = selected([[paths]], rules=rules).rows
    known = {(PROBLEMS[path.problem].question, path.response) for path in paths}
    for problem in PROBLEMS:
        of_problem = [row["response"] for row in rows if row["query"] == problem.question]
        assert of_problem[0] == problem.response
        lists = [equation_list(find_equations(response)) for response in of_problem[1:]]
        assert len(lists) == len(set(lists))
        naive = {
            equation_list(find_equations(path.response))
            for path in paths
            if PROBLEMS[path.problem] is problem
            and (rules == "reference" or not has_lone_surrogate(path.response))
            and (answer := REFERENCE.parse(path.response)) is not None
            and REFERENCE.equal_in_selection(answer, REFERENCE.parse(problem.response) or "")
            and all_hold(find_equations(path.response))
        }
        assert set(lists) == naive
        for response in of_problem[1:]:
            assert (problem.question, response) in known
            assert REFERENCE.parse(response) is not None
            assert all_hold(find_equations(response))


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists())
def test_the_order_of_the_models_is_the_order_listed(paths: list[Path]) -> None:
    by_model = [[path for path in paths if path.model == model] for model in ("c", "a", "b")]
    groups = [[of_model] for of_model in by_model if of_model]
    once = selected(groups)
    order = [model for model in ("c", "a", "b") if any(path.model == model for path in paths)]
    assert list(once.statistics["models"]) == order
    places = [(path.problem, order.index(path.model), path.sample) for path in once.paths]
    assert places == sorted(places)


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists(), st.lists(st.integers(1, 10), unique=True, min_size=1, max_size=3))
def test_a_prefix_is_the_selection_of_the_samples_below_k(paths: list[Path], ks: list[int]) -> None:
    ks = ks_of(paths, *ks)
    files = selected([[paths]], ks=ks).files
    for k in ks:
        prefix = [path for path in paths if path.sample < k]
        if prefix:
            assert files[f"out.k{k}.jsonl"] == selected([[prefix]]).files["out.jsonl"]


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists())
def test_no_rules_keep_every_correct_path(paths: list[Path]) -> None:
    correct = [
        path
        for path in paths
        if REFERENCE.parse(path.response) in (f"{42 + path.problem}", f"{42 + path.problem}.0")
        and not has_lone_surrogate(path.response)
    ]
    assert sorted(map(repr, selected([[paths]], rules="none").paths)) == sorted(map(repr, correct))


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists(), st.integers(0, 99))
def test_a_line_repeated_word_for_word_counts_once(paths: list[Path], seed: int) -> None:
    once, again = selected([[paths]]), selected([[paths, random.Random(seed).sample(paths, len(paths))]])
    assert again.files["out.jsonl"] == once.files["out.jsonl"]
    assert again.statistics == once.statistics | {"repeated_lines": len(paths)}


@settings(max_examples=30)  # each writes and syncs some files
@given(path_lists())
def test_the_robust_grader_decides_when_asked(paths: list[Path]) -> None:
    for path in selected([[paths]], grader="robust").paths:
        assert ROBUST.parse(path.response) == 42 + path.problem


def test_the_outcome_does_not_depend_on_the_number_of_processes() -> None:
    draw = random.Random(0)
    paths = [
        Path(
            problem,
            sample,
            model,
            f"{draw.randint(1, 9)} {'x' * 3000} <<1+{draw.randint(1, 5)}=2>>\n#### {42 + problem}",
        )
        for problem in range(4)
        for sample in range(400)
        for model in ("a", "b")
    ]
    # Nine megabytes are enough for `select` to start the processes.
    outcomes = [selected([shuffled(paths, 1, 3)], workers=workers, ks=[3]).files for workers in (1, 2)]
    assert outcomes[0] == outcomes[1]


@pytest.fixture(scope="module")
def golden() -> tuple[list[Path], Selected]:
    folder = shared("golden/selector")
    paths = [Path(**row) for row in read_jsonl(folder / "paths.jsonl")]
    problems = read_jsonl(folder / "problems.jsonl")
    return paths, selected(
        [[paths]], rules="reference", problems=[Problem(row["question"], row["answer"]) for row in problems]
    )


def test_the_rules_of_the_reference_write_its_bytes(golden: tuple[list[Path], Selected]) -> None:
    _, outcome = golden
    assert outcome.files["out.jsonl"] == (shared("golden/selector") / "selected.jsonl").read_bytes()
    united = outcome.statistics["united"]
    assert (united["samples"], united["correct"], united["distinct"]) == (14_400, 4_874, 1_132)


def test_the_rules_of_the_reference_in_two_processes(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(passes, "_WORTH_A_PROCESS", 1)
    folder, output = shared("golden/selector"), tmp_path / "out.jsonl"
    select(
        str(folder / "problems.jsonl"), [str(folder / "paths.jsonl")], str(output), rules="reference",
        ks=[], workers=2, piece_bytes=1 << 20,
    )  # fmt: skip
    assert output.read_bytes() == (folder / "selected.jsonl").read_bytes()


def test_the_rules_of_the_paper_select_the_same_paths_when_files_are_in_order(
    golden: tuple[list[Path], Selected], tmp_path
) -> None:
    folder = shared("golden/selector")
    for rules in ("paper", "reference"):
        select(
            str(folder / "problems.jsonl"), [str(folder / "paths.jsonl")], str(tmp_path / f"{rules}.jsonl"),
            rules=rules, ks=[], workers=1,
        )  # fmt: skip
    sets = [
        {(row["query"], row["response"]) for row in read_jsonl(tmp_path / f"{name}.jsonl")}
        for name in ("paper", "reference")
    ]
    assert sets[0] == sets[1]


_HOSTILE = [
    "<<", ">>", "<<<<", ">", "<<1+1=2>>", "<<9**9**9=1>>", "<<9**9**9**9=0>>", "((((", "))))", "<<((((((=1>>", "=", "|",
    "#### ", "####", "#### 42", "#### 4,2", "#### -", "#### 1/0", "#### $", "\0", "\ud800", "\udfff", "é", "٣",
    "9" * 50, "__import__('os')", "<<__import__('os').system('touch pwned')=0>>", "<<().__class__.__bases__=1>>",
    "{0.__class__}", "%s%n%x", "${HOME}", "<<1/0=0>>", "<<1e999=inf>>", "<<nan=nan>>", "<<1<<99999=1>>", "\u202e",
    "\x1b[31m", "\r", "\n", "<<-", "<<0x", "1_0", "~", "lambda:", "`", "'''", "<<1\n=1>>",
]  # fmt: skip


def test_a_hundred_thousand_hostile_texts(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    problems, count = tmp_path / "problems.jsonl", 100_000
    problems.write_text('{"question": "?", "answer": "#### 42"}\n' * 1_000)
    with (tmp_path / "paths.jsonl").open("w") as stream:
        for number in range(count):
            text = "".join(draw.choices(_HOSTILE, k=draw.randint(1, 8))) + draw.choice(["", "\n#### 42"])
            sample, problem = divmod(number, 1_000)
            stream.write(json.dumps({"problem": problem, "sample": sample, "model": "\x1b]m", "response": text}) + "\n")
    result = select(
        str(problems), ["paths.jsonl"], "out.jsonl", rules="paper", ks=[], workers=1
    )  # fmt: skip
    assert result["united"]["samples"] == count
    assert not (tmp_path / "pwned").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "out.jsonl", "out.jsonl.stats.json", "paths.jsonl", "problems.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["9" * 10**6, "<<" * 10**6, "<<1+1=2>>" * 10**5, "(" * 10**6, "<<" + "9" * 10**6 + "=1>>", "a b" * 10**6]
)
def test_a_megabyte_of_anything_comes_to_an_end(text: str) -> None:
    paths = [Path(0, sample, "a", f"{text}{sample}\n#### 42") for sample in range(4)]
    outcome = selected([[paths]])
    assert outcome.statistics["united"]["correct"] == 4
