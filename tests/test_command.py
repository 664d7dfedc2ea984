"""Exit codes and messages of a command, seen from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from absl import flags
from rft_jax import command
from rft_jax.config import MeshConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.errors import UserError

CONFIG = ConfigFlag(MeshConfig, default="config.py")
PROBLEMS = flags.DEFINE_string("problems", None, "where the problems are", required=True)

def main():
    config = CONFIG.read()
    if PROBLEMS.value == "missing":
        raise UserError("no file missing: give\\n --problems")
    if PROBLEMS.value == "bug":
        raise ZeroDivisionError
    if PROBLEMS.value == "interrupt":
        raise KeyboardInterrupt
    if PROBLEMS.value.startswith("print"):
        print(PROBLEMS.value)
        raise UserError(f"no {PROBLEMS.value}")
    command.show(f"{PROBLEMS.value} {config.tensor}")

if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "config.py").write_text("from rft_jax.config import MeshConfig\nget_config = lambda: MeshConfig()\n")

    def run(*arguments, stdout=subprocess.PIPE, env=None):
        return subprocess.run(
            [sys.executable, "program.py", *arguments],
            cwd=folder, stdout=stdout, stderr=subprocess.PIPE, env=env, text=True, check=False,
        )  # fmt: skip

    return run


def test_done(run):
    done = run("--problems=x", "--config.tensor=2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x 2\n", "")
    assert run("--config.tensor", "2", "--problems", "x").stdout == "x 2\n"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--problems=missing"], 1, "error: no file missing: give --problems\n"),
        (["--problems=x", "--config=nowhere.py"], 1, "error: no config file nowhere.py; "),
        (["--problms=x"], 2, "error: unknown flag --problms (did you mean 'problems'?)\n"),
        ([], 2, "error: "),
        (["--problems=x", "stray"], 2, "error: unexpected argument 'stray'"),
        (["--problems=x", "--config.tensr=2"], 2, "error: unknown config field 'tensr' (did you mean 'tensor'?)"),
        (["--problems=x", "--config.tensor=two"], 2, "error: config field 'tensor': 'two' is not a whole number"),
        (["--problems=x", "--config.tensor"], 2, "error: --config.tensor has no value"),
        (["--problems=interrupt"], 130, "error: interrupted\n"),
    ],
)
def test_a_users_mistake_is_one_line(run, arguments, code, line):
    failed = run(*arguments)
    assert failed.returncode == code
    assert failed.stderr.startswith(line)
    assert failed.stderr.count("\n") == 1
    assert failed.stdout == ""


def test_a_name_that_is_not_utf8(run):
    failed = run(b"--problems=print\xff", env={**os.environ, "PYTHONUTF8": "1"})
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "print\\udcff\n", "error: no print\\udcff\n")


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1e300", "10 s"])
def test_a_variable_that_is_no_number_of_seconds_is_one_line(run, value):
    failed = run("--problems=x", env=os.environ | {"RFT_JAX_GRACE_S": value})
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        f"error: RFT_JAX_GRACE_S={value}: give a number of seconds, at least 0, or unset it for 25\n"
    )


@pytest.mark.parametrize("value", ["", "0", "2.5", "590"])
def test_a_variable_that_is_one(run, value):
    assert run("--problems=x", env=os.environ | {"RFT_JAX_GRACE_S": value}).returncode == 0


def test_output_that_nobody_reads_or_no_disk_holds_is_one_line(run):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, Path("/dev/full").open("w") as full:
        for output, told in ((pipe, "Broken pipe"), (full, "No space left on device")):
            failed = run("--problems=x", stdout=output)
            assert (failed.returncode, failed.stderr) == (1, f"error: cannot write the output: {told}\n")


def test_a_letter_that_the_locale_lacks_is_escaped(run):
    done = run("--problems=½", env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert (done.returncode, done.stdout) == (0, "\\xbd 1\n")


def test_our_own_mistake_keeps_its_traceback(run):
    failed = run("--problems=bug")
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr


def test_help_names_flags_and_fields(run):
    told = run("--help")
    assert told.returncode == 0
    assert "--problems" in told.stdout
    assert "data, fsdp, tensor" in " ".join(told.stdout.split())
