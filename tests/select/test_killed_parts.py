"""A part and a merge that are killed at any moment, and done again, write what one process writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.select import parts
from rft_jax.select.part import Part
from tests.select.in_parts import job, taken, whole, write_data

ROOT = Path(__file__).parents[2]

# A fresh process, as this one runs JAX and cannot fork. Each child is killed at its n-th touch of a file or folder.
KILLED = """
import json, os, pathlib, signal, sys
from rft_jax.select import parts, scratch
from rft_jax.select.part import Part
from tests.select.in_parts import job

scratch._DEAD_S = -1.0  # no need to wait where a scratch folder has no lock yet
given = job(pathlib.Path(sys.argv[1]))
work = {"part": lambda: parts.write(given, Part(1, 3), 1, piece_bytes=20_000), "merge": lambda: parts.merge(given)}
TOUCHES = "open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"

def child(moment):
    left = moment
    def count(event, arguments):
        nonlocal left
        if event in TOUCHES and (event != "open" or str(given.target.parent) in str(arguments[0])):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    pid = os.fork()
    if pid == 0:
        sys.addaudithook(count)
        try:
            work[sys.argv[2]]()
        finally:
            os._exit(0 if sys.exception() is None else 1)
    return os.waitpid(pid, 0)[1]

ends = [child(1)]
while ends[-1] == signal.SIGKILL and len(ends) < 1000:
    ends.append(child(len(ends) + 1))
print(json.dumps(ends))
"""


@pytest.mark.parametrize("work", ["part", "merge"])
def test_killed_at_each_touch_of_a_file_and_done_again(tmp_path: Path, work: str) -> None:
    write_data(tmp_path)
    given = job(tmp_path)
    expected = whole(given)
    for index in range(3):
        parts.write(given, Part(index, 3), 1)
    # Each one finds what all before it left, and the last one comes to its end.
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), work],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *killed, last = json.loads(done.stdout)
    assert len(killed) >= 20
    assert last == 0, done.stderr
    parts.merge(given)
    written = taken(given)
    assert {name: content for name, content in written.items() if ".part-" not in name} == expected
    assert not [name for name in written if name.startswith(".")]
