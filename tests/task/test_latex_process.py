"""The process that reads LaTeX: it may hang, die or lie, and the grader goes on."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.task.graders.latex_process import LatexProcess, Reply

READY = "import sys, time; print('{\"ready\": true}', flush=True)\n"
# A power tower that the computer algebra cannot take and does not refuse.
ENDLESS = "9^{9^{9^9}}"

needs_the_library = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None,
    reason="the grader `latex` is an extra: pip install 'rft-jax[latex]'",
)


def fake(program: str, seconds: float = 60.0) -> LatexProcess:
    return LatexProcess((sys.executable, "-c", program), seconds)


def real(change: str = "pass") -> LatexProcess:
    """Returns the worker, with something changed before it starts."""
    program = (
        "import sympy, rft_jax.task.graders.latex_canonical as canonical, rft_jax.task.graders.latex_worker as worker\n"
        f"{change}\nworker.main()"
    )
    return fake(program)


def test_a_worker_that_sleeps_is_killed_and_replaced() -> None:
    process = fake(
        READY + "for line in sys.stdin:\n"
        "    time.sleep(10_000 if 'slow' in line else 0)\n"
        '    print(\'{"form": "5", "also": []}\', flush=True)',
        seconds=0.5,
    )
    for killed in (1, 2):
        assert process.ask("slow") is None
        assert process.killed == killed
    process._seconds = 60.0
    assert process.ask("x") == process.ask("x") == Reply("5", ())
    assert process.killed == 2
    process.stop()


@pytest.mark.parametrize(
    "answer",
    [
        "sys.exit(1)",
        "print('nonsense', flush=True)",
        "print('[1]', flush=True)",
        'print(\'{"form": 5, "also": []}\', flush=True)',
        'print(\'{"form": "5", "also": [5]}\', flush=True)',
        "sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()",
        "print('[' * 100_000, flush=True)",
        "print('x' * 3_000_000, end='', flush=True)",
    ],
)
def test_a_worker_that_dies_or_lies_is_killed(answer: str) -> None:
    process = fake(READY + f"sys.stdin.readline(); {answer}; time.sleep(10_000)")
    assert process.ask("x") is None
    assert process.killed == 1
    process.stop()


def test_a_worker_that_died_between_two_answers_is_replaced_and_loses_none() -> None:
    process = fake(READY + 'sys.stdin.readline(); print(\'{"form": "5", "also": []}\', flush=True)')
    assert process.ask("x") == Reply("5", ())
    process._child.wait()
    assert process.ask("x") == Reply("5", ())
    assert process.killed == 0
    process.stop()


@pytest.mark.parametrize("program", ["import no_such_module", "print('hello')"])
def test_a_worker_that_does_not_start_is_an_error(program: str) -> None:
    with pytest.raises(UserError, match="does not start"):
        fake(program).ask("x")


def test_without_the_library_one_line_says_what_to_install() -> None:
    program = (
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from rft_jax.task.grader import load\nload('latex')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "UserError: the grader 'latex' needs the package math-verify: pip install" in run.stderr


@needs_the_library
def test_an_answer_that_takes_too_long_is_killed() -> None:
    process = real("worker.SECONDS_PER_ANSWER = 0.5")
    assert process.ask(ENDLESS) is None
    assert process.killed == 1
    assert process.ask("x = 2").form == "2"
    process.stop()


@needs_the_library
@pytest.mark.slow
def test_an_answer_that_takes_too_much_memory_is_killed() -> None:
    process = real(
        "read = canonical.canonical\ncanonical.canonical = lambda text: read('5') if text == 'x' else bytes(9 << 30)"
    )
    assert process.ask("much") is None
    assert process.killed == 1
    assert process.ask("x").form == "5"
    process.stop()


@needs_the_library
def test_sympy_evaluates_no_text_there() -> None:
    process = real("canonical.canonical = lambda text: canonical.Form(str(sympy.sympify(text)))")
    assert process.ask("1.50") == Reply("3/2", ())
    assert process.ask("name") == Reply("name", ())
    for text in ("1+1", "__import__('os')", "exit()", "a.b", "f(x)", "[1]", "x*y"):
        assert process.ask(text) == Reply(None, ())
    assert process.killed == 0
    process.stop()


@needs_the_library
@pytest.mark.slow
def test_the_worker_loads_no_jax() -> None:
    process = real("import sys; canonical.canonical = lambda text: canonical.Form(str('jax' in sys.modules))")
    assert process.ask("x") == Reply("False", ())
    process.stop()


@needs_the_library
@pytest.mark.slow
def test_the_worker_dies_when_its_parent_is_killed() -> None:
    program = (
        "import time\nfrom rft_jax.task.graders.latex_process import LatexProcess\n"
        "process = LatexProcess(); process.ask('x')\nprint(process._child.pid, flush=True); time.sleep(10_000)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    while is_running(worker):  # would wait for ever
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")  # an orphan that nobody has buried is dead, too
    try:
        return not status.parent.parent.is_dir() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
