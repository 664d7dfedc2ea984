"""Signals, seen from outside: the command ends with 130, after what can be saved is, whatever its main thread does."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

START = """
import contextlib, os, signal, sys, threading, time
from rft_jax import command, stopping
stopping.GRACE_S = 1.0
def ready():
    print("ready", flush=True)
def stuck():
    ready()
    lock = threading.Lock(); lock.acquire(); lock.acquire()
"""


def start(main):
    lines = "".join(f"    {line}\n" for line in main.strip().splitlines())
    program = f"{START}def main():\n{lines}\ncommand.run(main)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)  # until it waits
    return process


def finish(process):
    begun = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert "Traceback" not in err
    return process.returncode, out, err, time.monotonic() - begun


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
TOLD = "error: interrupted; finished work is kept, and the same command continues from there\n"


@BOTH
def test_what_has_to_be_cleaned_up_is(number):
    process = start(
        """
with contextlib.ExitStack() as stack:
    stack.callback(print, "clean")
    stuck()
"""
    )
    process.send_signal(number)
    assert finish(process)[:3] == (130, "clean\n", "error: interrupted\n")


@BOTH
def test_at_once_although_the_main_thread_waits(number):
    process = start("stopping.leave_at_once(); stuck()")
    process.send_signal(number)
    *ended, seconds = finish(process)
    assert ended == [130, "", TOLD]
    assert seconds < 5


def test_a_main_thread_that_does_not_listen():
    deaf = """
ready()
while True:
    with contextlib.suppress(BaseException):
        time.sleep(100)
"""
    process = start(deaf)
    process.send_signal(signal.SIGTERM)
    code, _, err, seconds = finish(process)
    assert (code, err) == (130, TOLD)
    assert 0.8 < seconds < 10
    process = start(deaf)
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    assert process.poll() is None  # people press again when they have waited enough
    process.send_signal(signal.SIGINT)
    assert finish(process)[:1] == (130,)


SAVES = """
stopping.leave_at_once()
with stopping.asked_first("saving"):
    ready()
    while not stopping.asked():
        time.sleep(0.01)
    print("saved", flush=True)
    {then}
raise stopping.Interrupted("saved, go on with x")
"""


@BOTH
def test_saves_first(number):
    process = start(SAVES.format(then="pass"))
    process.send_signal(number)
    code, out, err, _ = finish(process)
    assert (code, out) == (130, "saved\n")
    assert err.endswith("error: saved, go on with x\n")
    process = start(SAVES.format(then="time.sleep(100)"))
    process.send_signal(signal.SIGTERM)
    code, _, err, seconds = finish(process)
    assert code == 130
    assert err.endswith(TOLD)
    assert seconds < 10  # saving took too long


def test_a_second_sigterm_changes_nothing():
    """Schedulers tell a process and those that pass it on."""
    process = start(SAVES.format(then="time.sleep(0.5)"))
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    code, out, err, _ = finish(process)
    assert (code, out) == (130, "saved\n")
    assert err.endswith("error: saved, go on with x\n")


def test_a_pause_ends():
    process = start('with stopping.asked_first("writing"): ready(); stopping.pause(100)')
    process.send_signal(signal.SIGINT)
    code, _, err, seconds = finish(process)
    assert code == 130
    assert err.endswith(TOLD)
    assert seconds < 5


def test_handlers_of_the_callers_own():
    process = start(
        """
seen = []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
with stopping.handled_elsewhere():
    ready()
    while len(seen) < 2:
        time.sleep(0.01)
print("both", flush=True)
"""
    )
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert finish(process)[:2] == (0, "both\n")


def test_a_childs_signals_are_its_own():
    process = start(
        """
stopping.leave_at_once()
child = os.fork()
if child == 0:
    time.sleep(100)
time.sleep(0.3)
os.kill(child, signal.SIGTERM)
ready()
time.sleep(0.5)
print(os.waitpid(child, 0)[1], stopping.asked(), flush=True)
"""
    )
    assert finish(process)[:2] == (0, "15 False\n")


def test_an_exit_code_does_not_wait_for_threads():
    process = start(
        """
stopping.leave_at_once()
threading.Thread(target=time.sleep, args=(100,)).start()
ready()
from rft_jax.errors import UserError
raise UserError("wrong")
"""
    )
    assert finish(process)[:3] == (1, "", "error: wrong\n")
