"""The command as a user meets it: what it writes, and one line and an exit code for every mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rft_jax.records import checksum, manifest
from rft_jax.records.problem import Problem, write_problems
from rft_jax.world import generate
from tests.shared_data import shared

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "launch" / "select_paths.py")]

Run = Callable[..., subprocess.CompletedProcess[str]]


def line(problem: int = 0, sample: int = 0, model: str = "m", response: str = "<<1+1=2>>\n#### 2") -> str:
    return json.dumps({"problem": problem, "sample": sample, "model": model, "response": response}) + "\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command in a folder with two problems and one file of paths."""
    (tmp_path / "problems.jsonl").write_text('{"question": "1+1?", "answer": "#### 2"}\n' * 2)
    (tmp_path / "a.jsonl").write_text(line(0) + line(1))

    def run(*flags: str, within: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        defaults = {"--problems": "problems.jsonl", "--paths": "a.jsonl", "--output": "out.jsonl"}
        given = dict(flag.split("=", 1) for flag in flags if "=" in flag)
        arguments = [f"{name}={value}" for name, value in (defaults | given).items() if value]
        return subprocess.run(
            [*within, *COMMAND, *arguments, *(flag for flag in flags if "=" not in flag)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_writes_the_set_the_statistics_and_a_table(run: Run, tmp_path: Path) -> None:
    result = run("--k=1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "equations hold" in result.stdout
    assert {file.name for file in tmp_path.iterdir()} == {
        "problems.jsonl", "a.jsonl", "out.jsonl", "out.k1.jsonl", "out.jsonl.stats.json",
    }  # fmt: skip
    rows = [json.loads(row) for row in (tmp_path / "out.jsonl").read_text().splitlines()]
    gold = {"query": "1+1?", "response": "#### 2"}
    chosen = {"query": "1+1?", "response": "<<1+1=2>>\n#### 2", "model": "m", "sample": 0}
    assert rows == [gold, chosen | {"problem": 0}, gold, chosen | {"problem": 1}]
    assert json.loads((tmp_path / "out.jsonl.stats.json").read_text())["united"]["correct"] == 2


def test_the_golden_set_byte_for_byte(run: Run, tmp_path: Path) -> None:
    golden = shared("golden/selector")
    result = run(
        f"--problems={golden}/problems.jsonl", f"--paths={golden}/paths.jsonl", "--rules=reference", "--workers=2"
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == (golden / "selected.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (line() + "so\n" + line(1), [], "b.jsonl:2: not JSON: Expecting value at column 1"),
        ('{"problem": 0}\n', [], "b.jsonl:1: the field \"sample\" is missing; the line has 'problem'"),
        (line(2), [], "b.jsonl:1: there is no problem 2; the 2 problems are numbered from 0 to 1"),
        (
            line() * 2 + line(response="#### 3"),
            [],
            "b.jsonl:3: sample 0 of problem 0 by model 'm' has another text than",
        ),
        (
            line(response="#### 9"),
            ["--paths=a.jsonl,b.jsonl"],
            "at a.jsonl:1; if these are two models, give each a name of its own: sample with --config.name=NAME",
        ),
        (line(), ["--paths=none/*.jsonl"], "no file matches --paths=none/*.jsonl"),
        (line(), ["--paths=b.jsonl,"], "no file matches --paths="),
        (line(), ["--paths=."], "no file matches --paths=.; it is a folder, so add /*.jsonl"),
        (line().replace("m", "\udcff"), [], "b.jsonl:1: not UTF-8 at byte"),
        (line() + line(1)[:-20], [], "b.jsonl:2: the last line is cut in the middle; was its writer killed?"),
        ("", [], "no path in the 1 files that match b.jsonl"),
        (line(), ["--output=none/out.jsonl"], "cannot write none/out.jsonl: the folder none does not exist"),
        (line(), ["--output=."], "it is a folder"),
        (line(), ["--output=b.jsonl"], "b.jsonl is to be read and written"),
        (line(), ["--output=problems.jsonl"], "problems.jsonl is to be read and written"),
        ("[" + line() + "]", [], "b.jsonl:1: a JSON array where one object per line is expected"),
        (line()[:-1] + " so\n", [], "b.jsonl:1: not JSON: 'so' follows the object"),
        (line(), ["--paths=*.jsonl"], "out.jsonl is to be read and written"),
        (line(), ["--rules=none.py"], "none.py"),
        (line(), ["--paths=a,b.jsonl"], r'put a comma that is part of a name inside double quotes ("a,b")'),
        (line(), ["--problems=none.jsonl"], "no such file: none.jsonl"),
        (line(), ["--problems=b.jsonl"], 'b.jsonl:1: it needs the fields "question" and "answer"'),
    ],
)
def test_a_mistake_in_the_input(run: Run, tmp_path: Path, content: str, flags: list[str], message: str) -> None:
    (tmp_path / "b.jsonl").write_text(content, errors="surrogateescape")
    (tmp_path / "out.jsonl").write_text("as it was")
    result = run("--paths=b.jsonl", *flags)
    assert result.returncode == 1, result
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "out.jsonl").read_text() == "as it was"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "out.jsonl", "problems.jsonl"]


def test_a_set_of_a_prefix_does_not_overwrite_its_input(run: Run, tmp_path: Path) -> None:
    (tmp_path / "o.k1.jsonl").write_text(line())
    result = run("--paths=o.k1.jsonl", "--output=o.jsonl", "--k=1")
    assert result.returncode == 1
    assert "o.k1.jsonl is to be read and written" in result.stderr
    assert (tmp_path / "o.k1.jsonl").read_text() == line()


def test_a_link_that_leads_nowhere(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").symlink_to("none.jsonl")
    result = run("--paths=[ab].jsonl")
    assert (result.returncode, result.stderr) == (1, "error: cannot read b.jsonl: No such file or directory\n")


def test_the_line_is_told_right_in_a_later_piece_of_a_large_file(run: Run, tmp_path: Path) -> None:
    long = "x" * 10_000
    lines = [line(0, sample, response=long) for sample in range(2_000)]
    lines[1_900] = "{}\n"
    (tmp_path / "b.jsonl").write_text("".join(lines))
    result = run("--paths=b.jsonl", "--workers=2")
    assert result.returncode == 1
    assert "error: b.jsonl:1901: " in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ruels=paper"], "did you mean 'rules'?"),
        (
            ["--rules=papre"],
            "--rules=papre (did you mean 'paper'?): give paper, reference, nearest, random, none or a FILE.py",
        ),
        (["--task=gsm"], "--task=gsm (did you mean 'gsm8k'?)"),
        (["--grader=robots"], "--grader=robots (did you mean 'robust'?)"),
        (["--audit=robust,referense"], "--audit=referense (did you mean 'reference'?)"),
        (['--paths="a.jsonl'], "--paths: unclosed double quote"),
        (["--k=0"], "positive whole numbers"),
        (["--cap=0"], "cap"),
        (["--k=three"], "positive whole numbers"),
        (["--workers=0"], "workers"),
        (["--part=3/2"], "--part=3/2: 2 parts are numbered from 0 to 1"),
        (["--part=2/2"], "--part=2/2: 2 parts are numbered from 0 to 1"),
        (["--part=0/0"], "--part=0/0: there must be at least 1 part"),
        (["--part=x/y"], "--part=x/y: give I/N, such as 0/4 for the first of four parts"),
        (["--part=-1/2"], "--part=-1/2: give I/N"),
        (["--part=0/2", "--merge"], "give --merge alone, when all parts are there"),
        (["--parts=0/2"], "did you mean 'part'?"),
        (["--merged"], "did you mean 'merge'?"),
        (["--problems="], "--problems"),
        (["b.jsonl"], "unexpected argument 'b.jsonl'"),
    ],
)
def test_a_mistake_in_the_flags(run: Run, flags: list[str], message: str) -> None:
    result = run(*flags)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result
    assert message in result.stderr


def test_a_set_of_more_samples_than_there_are_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("--k=1,40")
    assert (result.returncode, result.stderr) == (
        1, "error: --k=40: the samples are numbered below 1, so give at most 1\n"
    )  # fmt: skip
    assert {file.name for file in tmp_path.iterdir()} == {"problems.jsonl", "a.jsonl"}


def test_a_full_disk(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        "".join(line(0, number, response=f"{'x' * 900}\n#### 2") for number in range(300))
    )
    (tmp_path / "out.jsonl").write_text("as it was")

    # A write beyond 100 kB fails, as on a full disk. By a shell: forking this process, which runs JAX, is not safe.
    result = run(within=("bash", "-c", 'ulimit -f 100; exec "$@"', "bash"))
    assert result.returncode == 1, result
    assert result.stderr.startswith("error: cannot write")
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "out.jsonl").read_text() == "as it was"
    assert len(list(tmp_path.iterdir())) == 3


def test_in_parts_and_merged(run: Run, tmp_path: Path) -> None:
    def written() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in tmp_path.glob("out*") if file.is_file()}

    whole = run("--k=1")
    expected = written()
    for file in tmp_path.glob("out*"):
        file.unlink()
    missing = run("--k=1", "--merge")
    assert (missing.returncode, missing.stderr) == (
        1,
        "error: there are no parts of out.jsonl: run the same command with --part=I/N first, for each I\n",
    )
    for index in (2, 0, 1):  # one of them has no problem
        part = run("--k=1", f"--part={index}/3")
        assert (part.returncode, part.stderr) == (0, "")
        assert f"out.jsonl.part-{index}-of-3: part {index}/3, {int(index > 0)} paths" in part.stdout
    assert written() == {}
    merged = run("--k=1", "--merge")
    assert (merged.returncode, merged.stderr) == (0, "")
    assert written() == expected
    removable = "The parts, out.jsonl.part-*, are no longer needed and can be removed.\n"
    assert merged.stdout == whole.stdout + removable


def test_a_full_disk_of_a_part(run: Run, tmp_path: Path) -> None:
    rows = (line(0, number, response=f"<<{number}+1={number + 1}>> {'x' * 900}\n#### 2") for number in range(150))
    (tmp_path / "a.jsonl").write_text("".join(rows))
    assert run("--part=0/1").returncode == 0
    part = tmp_path / "out.jsonl.part-0-of-1"
    before = (part / "part.json").read_bytes()
    for flags in (["--part=0/1"], ["--merge"]):
        result = run(*flags, within=("bash", "-c", 'ulimit -f 100; exec "$@"', "bash"))
        assert (result.returncode, result.stderr.count("\n")) == (1, 1), result
        assert result.stderr.startswith("error: cannot write")
        assert {file.name for file in tmp_path.iterdir()} == {"a.jsonl", "problems.jsonl", part.name}
        assert (part / "part.json").read_bytes() == before


def test_ctrl_c_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(line(0, number, response="x" * 500) for number in range(60_000)))
    before = {file.name for file in tmp_path.iterdir()}
    flags = ["--problems=problems.jsonl", "--paths=a.jsonl", "--output=out.jsonl", "--workers=2"]
    process = subprocess.Popen(
        [*COMMAND, *flags], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not any(file.name.endswith(".partial") for file in tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "error: interrupted\n")
    assert {file.name for file in tmp_path.iterdir()} == before


def test_needs_no_jax(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hide" / "jax").mkdir(parents=True)
    (tmp_path / "hide" / "jax" / "__init__.py").write_text("raise ImportError('jax was imported')")
    try:
        result = run(within=("env", f"PYTHONPATH={tmp_path / 'hide'}:{ROOT}"))
    finally:
        shutil.rmtree(tmp_path / "hide")
    assert result.returncode == 0, result.stderr


def test_folders_with_commas_and_brackets(run: Run, tmp_path: Path) -> None:
    for number, name in enumerate(["run1", "run[1]", "lr=1e-5,seed=0", "what?"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_text(line(model=name, response=f"<<1+{number}={1 + number}>>\n#### 2"))

    def models(paths: str) -> set[str]:
        result = run(f"--paths={paths}")
        assert result.returncode == 0, result.stderr
        return set(json.loads((tmp_path / "out.jsonl.stats.json").read_text())["models"])

    assert models("run[1]/*.jsonl") == {"run[1]"}
    assert models("run1/*.jsonl") == {"run1"}
    assert models('"lr=1e-5,seed=0/*.jsonl",what?/a.jsonl') == {"lr=1e-5,seed=0", "what?"}
    assert models(r"lr=1e-5\,seed=0/*.jsonl,run[1]/a.jsonl") == {"lr=1e-5,seed=0", "run[1]"}
    assert models(f'"{tmp_path}/*,*/*.jsonl"') == {"lr=1e-5,seed=0"}


def of_problems(*questions: str) -> str:
    return json.dumps({"problems": manifest.of_problems([Problem(question, "") for question in questions])})


def test_paths_of_other_problems_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jsonl").write_text(line(0) + line(1))
    (tmp_path / "out" / "manifest.json").write_text(of_problems("1+1?", "1+1?"))
    result = run("--paths=out/*.jsonl")
    assert (result.returncode, result.stderr) == (0, "")
    assert "have no manifest" not in result.stdout
    assert "1 path files have no manifest" in run("--paths=out/*.jsonl,a.jsonl").stdout
    before = (tmp_path / "out.jsonl").read_bytes()
    for questions in (["1+1?"], ["1+1?", "2+0?"]):
        (tmp_path / "out" / "manifest.json").write_text(of_problems(*questions))
        result = run("--paths=out/*.jsonl")
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert "the paths in out were sampled from other problems than problems.jsonl" in result.stderr
        assert (tmp_path / "out.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("answer", "flags", "code", "told"),
    [
        ("72", [], 1, "problems.jsonl:2: the grader 'reference' reads no answer in the gold response '72'"),
        ("#### $18", [], 1, "'#### $18'"),
        ("#### $18", ["--grader=robust"], 0, "reference cannot read 1 gold answers"),
        ("#### 5:30", ["--grader=robust"], 1, "problems.jsonl:2: the grader 'robust' reads no answer"),
    ],
)
def test_a_gold_answer_that_cannot_be_read(
    run: Run, tmp_path: Path, answer: str, flags: list[str], code: int, told: str
) -> None:
    rows = [{"question": "1+1?", "answer": "#### 2"}, {"question": "?", "answer": answer}]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(*flags)
    assert result.returncode == code, result.stderr
    assert told in (result.stderr if code else result.stdout)


def test_a_shard_that_is_not_what_was_written_is_refused(run: Run, tmp_path: Path) -> None:
    shard, told = tmp_path / "a.jsonl", tmp_path / "a.jsonl.sha256"
    told.write_text(checksum.line(shard.read_bytes(), shard.name))
    assert run().returncode == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    shard.write_text(line(0) + line(1, response="<<1+1=2>>\n#### 3"))
    (tmp_path / "link.jsonl").symlink_to(shard)
    for name in ("a.jsonl", "link.jsonl"):
        result = run(f"--paths={name}")
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert f"error: {name} is not what was written, its checksum differs" in result.stderr
        assert (tmp_path / "out.jsonl").read_bytes() == before
    told.write_text(f"{'0' * 64}  another.jsonl\n")  # not of this file
    assert run().returncode == 0
    told.unlink()
    assert run().returncode == 0


def test_foreign_paths_of_other_questions_raise_a_doubt(run: Run, tmp_path: Path) -> None:
    problems = generate.problems("train", 60, 0)
    (tmp_path / "a.jsonl").write_text(
        "".join(line(number, response=each.response) for number, each in enumerate(problems))
    )
    write_problems(tmp_path / "problems.jsonl", problems)
    assert run().stderr == ""
    write_problems(tmp_path / "problems.jsonl", sorted(problems, key=lambda problem: problem.question))
    result = run()
    assert (result.returncode, result.stderr.count("\n")) == (0, 1)
    assert "warning: the paths do not seem to match their questions" in result.stderr


def test_help_says_how_to_quote() -> None:
    shown = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "inside double quotes" in " ".join(shown.split())
