"""The pipeline with small commands in place of the real ones: what runs, what is skipped, what is printed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from unittest import mock

import pytest

from rft_jax.errors import UserError
from rft_jax.pipeline import one_stage, process
from rft_jax.pipeline.run import run, run_stages
from rft_jax.pipeline.stage import LOG, RECORD, Record, Stage, changes, fingerprint
from rft_jax.pipeline.stage_settings import root
from rft_jax.pipeline.states import followers, states
from rft_jax.pipeline.workdir_lock import lock

# Adds the numbers in its inputs to its own; counts its runs; dies or waits when told to.
SCRIPT = """
import pathlib, sys, time
flags = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
out = pathlib.Path(flags["workdir"])
with (out / "runs").open("a") as runs:
    runs.write("x")
if (out.parent / f"break-{out.name}").exists():
    print("some words")
    sys.exit("error: the disk of station 4 is full")
while (out.parent / f"wait-{out.name}").exists():
    time.sleep(0.02)
total = int(flags["add"])
for place in flags.get("data", "").split(","):
    total += int(pathlib.Path(place).read_text()) if place else 0
(out / "sum").write_text(str(total))
"""


class Bench:
    """A chain of three stages, a → b → c, and one beside it, d."""

    def __init__(self, folder):
        self.workdir = folder / "out"
        self.script = folder / "add.py"
        self.script.write_text(SCRIPT)
        self.source = folder / "source"
        self.source.write_text("100")
        self.add = {"a": 1, "b": 2, "c": 3, "d": 4}

    def stages(self):
        def stage(name, reads, after):
            return Stage(
                name=name, kind="add", script=str(self.script), flags=(f"--add={self.add[name]}",), after=after,
                reads={"--data": reads}, locations={"--workdir": str(self.workdir / name)}, output=("sum",),
            )  # fmt: skip

        def made(name):
            return str(self.workdir / name / "sum")

        return [
            stage("a", str(self.source), ()),
            stage("b", made("a"), ("a",)),
            stage("c", made("b"), ("b",)),
            stage("d", str(self.source), ()),
        ]

    def run(self, *, redo=False, stages=None):
        run_stages(
            stages or self.stages(),
            self.workdir,
            redo=redo,
            command="the command",
            described={"k": 1},
        )

    def runs(self):
        return {name: len(text) for name in "abcd" if (text := self._read(name, "runs")) is not None}

    def sums(self):
        return {name: int(text) for name in "abcd" if (text := self._read(name, "sum")) is not None}

    def _read(self, name, file):
        path = self.workdir / name / file
        return path.read_text() if path.exists() else None

    def what(self):
        return {name: state.what for name, state in states(self.stages(), self.workdir).items()}


@pytest.fixture
def bench(tmp_path):
    """Returns a fresh Bench."""
    return Bench(tmp_path)


def test_everything_runs_once_and_then_nothing(bench, capfd):
    assert set(bench.what().values()) == {"new"}
    bench.run()
    assert bench.sums() == {"a": 101, "b": 103, "c": 106, "d": 104}
    assert f"[ 1/4] a: python {os.path.relpath(bench.script)} --add=1" in capfd.readouterr().out
    bench.run()
    assert bench.runs() == dict.fromkeys("abcd", 1)
    assert "[ 4/4] d: done before, unchanged" in capfd.readouterr().out
    assert json.loads((bench.workdir / "pipeline.json").read_text()) == {"k": 1}


def test_a_changed_setting_names_what_it_makes_stale_and_runs_nothing(bench):
    bench.run()
    bench.add["b"] = 7
    with pytest.raises(UserError, match=r"add 2 → 7: this makes b stale, and with it c\. --redo"):
        bench.run()
    assert bench.runs() == dict.fromkeys("abcd", 1)
    assert bench.sums()["b"] == 103


def test_redo_runs_stale_stages_again_and_keeps_the_old(bench):
    bench.run()
    bench.add["b"] = 7
    bench.run(redo=True)
    assert bench.sums() == {"a": 101, "b": 108, "c": 111, "d": 104}
    assert (bench.workdir / "stale" / "b-1" / "sum").read_text() == "103"
    assert (bench.workdir / "stale" / "c-1" / "sum").read_text() == "106"
    bench.add["b"] = 8
    bench.run(redo=True)
    assert (bench.workdir / "stale" / "b-2" / "sum").read_text() == "108"


def test_a_stage_whose_input_came_out_the_same_is_not_done_again(bench):
    bench.run()
    (bench.workdir / "a" / "sum").unlink()
    assert bench.what() == {"a": "resume", "b": "done", "c": "done", "d": "done"}
    bench.run()
    assert bench.runs() == {"a": 2, "b": 1, "c": 1, "d": 1}


def test_a_changed_input_file_makes_its_readers_stale(bench):
    bench.run()
    bench.source.write_text("200")
    with pytest.raises(UserError, match=r"what data reads: this makes a stale, and with it b, c, d"):
        bench.run()
    bench.run(redo=True)
    assert bench.sums() == {"a": 201, "b": 203, "c": 206, "d": 204}


def test_what_will_be_stale_is_reported_before_anything_runs(bench):
    bench.run()
    bench.add["a"] = 7
    assert bench.what() == {"a": "stale", "b": "stale", "c": "stale", "d": "done"}


def test_a_changed_config_file_makes_its_stage_stale(bench, tmp_path):
    config = tmp_path / "config.py"
    config.write_text("rate = 1")
    first, *others = bench.stages()
    stages = [dataclasses.replace(first, reads={**first.reads, "the config file": str(config)}), *others]
    bench.run(stages=stages)
    config.write_text("rate = 2")
    with pytest.raises(UserError, match="the config file changed: this makes a stale"):
        bench.run(stages=stages)


def test_a_failing_stage_stops_the_pipeline_and_says_how_to_go_on(bench):
    (bench.workdir).mkdir()
    (bench.workdir / "break-b").touch()
    with pytest.raises(UserError) as failure:
        bench.run()
    told = str(failure.value)
    assert told.startswith("stage b failed (exit code 1): the disk of station 4 is full |")
    assert told.endswith("to continue: the command")
    assert "some words" in (bench.workdir / "b" / LOG).read_text()
    assert bench.runs() == {"a": 1, "b": 1}
    (bench.workdir / "break-b").unlink()
    bench.run()
    assert bench.runs() == {"a": 1, "b": 2, "c": 1, "d": 1}


def test_a_stage_without_its_output_has_failed(bench):
    first = dataclasses.replace(bench.stages()[0], output=("model",))
    with pytest.raises(UserError, match="exited normally, but its output is missing"):
        bench.run(stages=[first])


def test_a_growing_flag_goes_on_in_the_same_folder(bench):
    def stages():
        return [dataclasses.replace(bench.stages()[0], growing="--add")]

    bench.run(stages=stages())
    bench.add["a"] = 5
    bench.run(stages=stages())
    assert bench.sums() == {"a": 105}
    assert not (bench.workdir / "stale").exists()
    bench.source.write_text("200")  # a larger k, but of other contents
    bench.add["a"] = 6
    with pytest.raises(UserError, match="add 5 → 6, what data reads: this makes a stale"):
        bench.run(stages=stages())
    bench.source.write_text("100")
    bench.add["a"] = 2  # smaller than what exists
    with pytest.raises(UserError, match="add 5 → 2: this makes a stale"):
        bench.run(stages=stages())


def test_growth_names_what_follows_before_anything_runs(bench):
    def stages():
        first, *rest = bench.stages()
        return [dataclasses.replace(first, growing="--add"), *rest]

    bench.run(stages=stages())
    bench.add["a"] = 5
    with pytest.raises(UserError, match=r"add 1 → 5 of a: this makes b stale, and with it c\."):
        bench.run(stages=stages())
    assert bench.runs()["a"] == 1
    bench.run(stages=stages(), redo=True)
    assert bench.sums() == {"a": 105, "b": 107, "c": 110, "d": 104}


def test_late_flags_are_made_when_the_stages_before_are_done(bench):
    def stages():
        first, second, *_ = bench.stages()
        late = dataclasses.replace(
            second, flags=(), late=lambda: (f"--add={(bench.workdir / 'a' / 'sum').read_text()}",)
        )
        return [first, late]

    bench.run(stages=stages())
    assert bench.sums() == {"a": 101, "b": 202}
    bench.run(stages=stages())
    assert bench.runs() == {"a": 1, "b": 1}


def test_followers(bench):
    stages = bench.stages()
    assert followers(stages, "a") == ["b", "c"]
    assert followers(stages, "d") == []


BAR = """
import sys, time
for n in range(5):
    sys.stderr.write(f"\\rbar {n}")
    sys.stderr.flush()
    time.sleep(0.05)
print()
print("a line", sys.stderr.isatty())
"""
ON_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])))
"""
OUTER = """
import pathlib, sys
from rft_jax.pipeline import process
log = pathlib.Path(sys.argv[1]) / "log.txt"
sys.exit(process.run_logged([sys.executable, "-c", sys.argv[2]], log, 2, lambda pid: None))
"""


def test_progress_bars_are_shown_on_a_terminal_and_kept_out_of_the_log(tmp_path):
    """In a terminal of its own, both the pipeline and the command believe that they write to a terminal."""
    arguments = [sys.executable, "-c", ON_A_TERMINAL, OUTER, str(tmp_path), BAR]
    shown = subprocess.run(arguments, stdout=subprocess.PIPE, check=True, cwd=root(), stdin=subprocess.DEVNULL).stdout
    assert b"bar 3" in shown
    assert (tmp_path / LOG).read_text().splitlines() == ["bar 4", "a line True"]


def test_without_a_terminal_all_goes_to_the_log(tmp_path, capfd):
    program = (
        "import sys; print('out', sys.stderr.isatty(), flush=True); print('\\u00e9rr', file=sys.stderr); sys.exit(3)"
    )
    with lock(tmp_path) as held:
        assert (
            process.run_logged([sys.executable, "-c", program], tmp_path / LOG, held.descriptor, lambda pid: None) == 3
        )
    assert (tmp_path / LOG).read_text().splitlines() == ["out False", "érr"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("when", ["before", "as it is taken", "after"])
def test_a_signal_is_passed_on_once(when):
    """The trainer takes a second one as "now"."""

    class Signals(process._PassedOn):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if when == "as it is taken" and name == "_process" and value is not None:
                self._pass(signal.SIGINT, None)

    signals, command = Signals(), mock.Mock()
    if when == "before":
        signals._pass(signal.SIGINT, None)
    signals.pass_to(command)
    if when == "after":
        signals._pass(signal.SIGINT, None)
    command.send_signal.assert_called_once_with(signal.SIGINT)
    assert signals.number == signal.SIGINT


def test_last_line(tmp_path):
    log = tmp_path / LOG
    for text, told in {
        "": "it printed nothing", "a\nb\n\n": "b", "x\nerror: it broke\nmore\n": "it broke",
        "Traceback\nValueError: 3": "ValueError: 3",
    }.items():  # fmt: skip
        log.write_text(text)
        assert process.last_line(log) == told


def test_changes_are_described_in_words():
    assert changes(["--config.k=4", "--a=1"], ["--config.k=8", "--b=2"]) == [
        "a 1 → unset", "b unset → 2", "config.k 4 → 8",
    ]  # fmt: skip


def test_fingerprints_tell_contents_apart(tmp_path):
    file, folder = tmp_path / "x", tmp_path / "folder"
    assert fingerprint(str(file)) == "absent"
    file.write_text("1")
    folder.mkdir()
    (folder / "x").write_text("1")
    seen = [
        fingerprint(str(file)),
        fingerprint(str(folder)),
        fingerprint((f"{tmp_path}/*",)),
        fingerprint("hf:a/b:c:d"),
    ]
    file.write_text("2")
    seen += [fingerprint(str(file)), fingerprint((str(file), str(folder))), fingerprint("hf:a/b:c:e")]
    file.write_text("1")
    assert fingerprint(str(file)) == seen[0]
    (folder / "y").write_text("")
    seen.append(fingerprint(str(folder)))
    # A file, a folder that holds a copy of it, and a glob that matches it have the same contents.
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen)) == len(seen) - 2


def test_a_record_that_cannot_be_read_is_none(tmp_path):
    (tmp_path / RECORD).write_text("{")
    assert Record.read(tmp_path) is None
    assert Record.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_what_is_missing_or_changed_is_made_again(bench, capfd, damage):
    """And what was made from it stays, as it is the same again."""
    bench.run()
    made = bench.workdir / "b" / "sum"
    made.unlink() if damage == "missing" else made.write_text("1000")
    assert bench.what()["b"] == "resume"
    bench.run()
    assert "b/sum is missing or changed, and is made again" in capfd.readouterr().out
    assert bench.runs() == {"a": 1, "b": 2, "c": 1, "d": 1}
    assert bench.sums() == {"a": 101, "b": 103, "c": 106, "d": 104}


def test_the_report_of_a_job_is_not_taken_for_that_of_an_earlier_run(bench, capfd):
    """A job's output goes to the job's log: what the stage's own log says is older, or there is none."""
    bench.script.write_text(f"{SCRIPT}\nprint('the table')")
    report = dataclasses.replace(bench.stages()[0], kind="report")
    bench.run(stages=[report])
    assert "\nthe table\n" in capfd.readouterr().out
    (bench.workdir / "a" / "sum").unlink()
    with lock(bench.workdir, shared=True) as held:
        one_stage.do([report], report, bench.workdir, held, redo=False, command="", launcher=("env",))
    assert "the table" in capfd.readouterr().out
    bench.run(stages=[report])
    shown = capfd.readouterr().out
    assert "the table" not in shown
    assert shown.endswith(f"\nreport: {bench.workdir}/report.html\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--only=sft", "--submit=slurm"], "--submit and --only: give one of them"),
        (["--only=sft", "--dry_run"], "--dry_run and --only: give one of them"),
        (["--workers=3"], "--workers is for --only=STAGE"),
        (["--launcher=srun", "--dry_run"], "--launcher is for --only=STAGE"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(tmp_path, given, told):
    command = [sys.executable, "launch/pipeline.py", f"--workdir={tmp_path / 'out'}", *given]
    done = subprocess.run(command, cwd=root(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {told}\n")
    assert not (tmp_path / "out").exists()


def test_several_pipelines_at_once_are_refused(tmp_path, monkeypatch):
    """Its stages may be several processes; under srun -n 2 the pipeline would be two that fight for one folder."""
    for name, value in {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="the pipeline is one process"):
        run(None, tmp_path / "out", redo=False, command="python launch/pipeline.py")
    monkeypatch.delenv("JAX_PROCESS_ID")
    with pytest.raises(UserError, match="but not JAX_PROCESS_ID"):
        run(None, tmp_path / "out", redo=False, command="python launch/pipeline.py")
    assert not (tmp_path / "out").exists()
