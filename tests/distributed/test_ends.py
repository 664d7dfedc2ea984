"""Two real processes, and every way in which one of them can fail the other: one line on each, and exit code 1."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.devices import xla_flags

PROGRAM = """
import os, sys, time
from pathlib import Path
from rft_jax import command, stopping
from rft_jax.distributed import agreement, lifeline
from rft_jax.errors import UserError
stopping.GRACE_S, lifeline.BEAT_S, lifeline.LOST_S = 3.0, 0.3, 6.0
number = int(os.environ["JAX_PROCESS_ID"])

def main():
    from rft_jax import runtime
    runtime.start()
    import jax
    from jax.experimental import multihost_utils
    print("met", os.getpid(), flush=True)
    for turn in range(200):
        multihost_utils.process_allgather(jax.numpy.ones(1) * turn)
        {each}
        if turn == 3:
            print("going", flush=True)
        time.sleep(0.1)

command.run(main)
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def start(each="pass", count=2, address=None, numbers=None, **environment):
    address = address or f"127.0.0.1:{free_port()}"
    variables = os.environ | {
        "JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count),
        "XLA_FLAGS": xla_flags(1),
    } | environment  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(each=each)], cwd=Path(__file__).parents[2], text=True,
            env=variables | {"JAX_PROCESS_ID": str(number)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in (range(count) if numbers is None else numbers)
    ]  # fmt: skip


def going(processes):
    """Waits until they compute together; returns the processes that do the work, which their guardians watch."""
    workers = [int(process.stdout.readline().split()[1]) for process in processes]
    assert [process.stdout.readline() for process in processes] == ["going\n"] * len(processes)
    return workers


def finish(processes, seconds=60):
    ended = [(*process.communicate(timeout=seconds), process.returncode) for process in processes]
    for _, err, _ in ended:
        assert "Traceback" not in err
    return [(code, err.splitlines()) for _, err, code in ended]


@pytest.mark.parametrize(
    ("how", "victim"),
    [
        ("killed", 0),
        pytest.param("killed", 1, marks=pytest.mark.slow),
        pytest.param("guardian killed", 0, marks=pytest.mark.slow),
        pytest.param("guardian killed", 1, marks=pytest.mark.slow),
        pytest.param("stopped", 0, marks=pytest.mark.slow),
        ("stopped", 1),
    ],
)
def test_one_is_lost(how, victim):
    processes = start()
    workers = going(processes)
    other = processes[1 - victim]
    begun = time.monotonic()
    if how == "guardian killed":
        processes[victim].kill()
    else:
        os.kill(workers[victim], signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    [(code, lines)] = finish([other], 30)
    seconds = time.monotonic() - begun
    if how == "stopped":
        os.kill(workers[victim], signal.SIGKILL)
    [(_, own_lines)] = finish([processes[victim]])
    assert code == 1
    assert len(lines) == 1, lines
    assert f"process {victim}" in lines[0]
    assert " lost" in lines[0]
    assert "start all processes again with the same command" in lines[0]
    assert seconds < 25
    if how == "killed":
        assert processes[victim].returncode == 1
        assert len(own_lines) == 1
        assert f"process {victim} was ended by SIGKILL" in own_lines[0]


def test_an_error_of_one_ends_both():
    processes = start(each='if number == 1 and turn == 5: raise UserError("the disk is full")')
    going(processes)
    (code, lines), (own_code, own_lines) = finish(processes)
    assert (code, own_code) == (1, 1)
    assert own_lines == ["error: the disk is full"]
    assert len(lines) == 1
    assert lines[0].startswith("error: process 1 (")
    assert lines[0].endswith(") ended: the disk is full")


def test_an_error_of_all_is_told_once():
    processes = start(each='if turn == 5: raise UserError("the mesh does not fit")')
    going(processes)
    ended = finish(processes)
    assert [code for code, _ in ended] == [1, 1]
    assert sum(lines == [] for _, lines in ended) <= 1
    assert all(line.endswith("the mesh does not fit") for _, lines in ended for line in lines)


def test_a_bug_in_one_ends_both():
    processes = start(each="if number == 0 and turn == 5: 1 / 0")
    going(processes)
    ended = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    assert "ZeroDivisionError" in ended[0][1]
    assert "ended: ZeroDivisionError" in ended[1][1]
    assert len(ended[1][1].splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_all(number):
    processes = start()
    going(processes)
    for process in processes:
        process.send_signal(number)
    for code, lines in finish(processes):
        assert code == 130
        assert lines == ["error: interrupted; finished work is kept, and the same command continues from there"]


def test_sigterm_to_one():
    processes = start()
    going(processes)
    processes[1].send_signal(signal.SIGTERM)
    (code, lines), (own_code, _) = finish(processes)
    assert (code, own_code) == (1, 130)
    assert len(lines) == 1


def test_the_end_is_quiet():
    processes = start(each="if turn == 5: return")
    going(processes)
    assert finish(processes) == [(0, []), (0, [])]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ('{"seed": 1, "data": "x" * (1 + number)}', "process 1 has another data than process 0: 'xx', not 'x'"),
        ('{} if number else {"weights": 1}', "process 1 has another weights than process 0: None, not 1"),
    ],
)
def test_they_disagree(what, told):
    processes = start(each=f"turn == 5 and agreement.agree({what})")
    going(processes)
    ended = finish(processes)
    assert [code for code, _ in ended] == [1, 1]
    lines = [line for _, lines in ended for line in lines]
    assert 1 <= len(lines) <= 2
    assert all(told in line for line in lines)


def test_they_agree(tmp_path):
    both = f'agreement.agree({{"turn": turn}}); agreement.shared(Path({str(tmp_path)!r}))'
    processes = start(each=f"{both}\n        if turn == 5: return")
    going(processes)
    assert [code for code, _ in finish(processes)] == [0, 0]
    assert not list(tmp_path.iterdir())


def test_a_folder_of_one(tmp_path):
    folder = f"Path({str(tmp_path)!r}) / str(number)"
    processes = start(each=f"agreement._SEEN_S = 1.0; turn == 5 and agreement.shared({folder})")
    going(processes)
    ended = finish(processes)
    assert [code for code, _ in ended] == [1, 1]
    lines = [line for _, lines in ended for line in lines]
    assert lines
    assert all("process 1 on " in line and "give a folder that all hosts share" in line for line in lines)


@pytest.mark.parametrize(
    ("address", "told"),
    [("127.0.0.1:1", "nobody answers"), ("no-such-host.invalid:1234", "cannot be resolved")],
)
def test_nobody_at_the_coordinator(address, told):
    [process] = start(address=address, numbers=[1], RFT_JAX_MEET_S="4")
    [(code, lines)] = finish([process])
    assert code == 1
    assert len(lines) == 1
    assert f"no process 0 at {address} within 4 s" in lines[0]
    assert told in lines[0]


def test_not_all_come():
    [process] = start(numbers=[0], RFT_JAX_MEET_S="4")
    [(code, lines)] = finish([process])
    assert code == 1
    assert len(lines) == 1
    assert "not all 2 processes came to process 0 at 127.0.0.1:" in lines[0]


@pytest.mark.parametrize("count", [1, 2])
def test_a_meeting_time_that_is_none(count):
    [process] = start(count=count, numbers=[0], RFT_JAX_MEET_S="a minute")
    [(code, lines)] = finish([process])
    told = "error: RFT_JAX_MEET_S=a minute: give a number of seconds, at least 1, or unset it for 60"
    assert (code, lines) == (1, [told])


def test_the_port_is_taken():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        [process] = start(address=f"127.0.0.1:{port}", numbers=[0])
        [(code, lines)] = finish([process])
    assert code == 1
    assert len(lines) == 1
    assert f"cannot wait for the other processes at 127.0.0.1:{port}" in lines[0]


@pytest.mark.slow
def test_one_has_more_to_do_than_the_other():
    """As process 0 has after an evaluation; it may take as long as it likes."""
    processes = start(each="if turn == 5: return time.sleep(9 * (1 - number))")
    going(processes)
    assert finish(processes) == [(0, []), (0, [])]


def test_a_wish_of_one_reaches_process_0():
    """Which saves, and stops for all; here it saves nothing."""
    follows = "stopping._now.way = stopping._Way.WISH"
    stops = "if number == 0 and stopping.asked(): stopping.leave_at_once(); stopping.check()"
    processes = start(each=f"{follows}\n        {stops}")
    going(processes)
    processes[1].send_signal(signal.SIGTERM)
    (code, lines), (own_code, own_lines) = finish(processes)
    assert (code, own_code) == (130, 130)
    assert lines == ["error: interrupted; finished work is kept, and the same command continues from there"]
    assert own_lines[0].startswith("SIGTERM: ")
    assert len(own_lines) == 2
