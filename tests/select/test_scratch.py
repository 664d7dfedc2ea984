"""What a killed selection leaves goes with the next one; what a living one uses stays."""

import subprocess
import sys
from pathlib import Path

from rft_jax.files import whole_file
from rft_jax.select.scratch import scratch

KILLED = """
import os, pathlib, signal, sys
from rft_jax.files import whole_file
from rft_jax.select.scratch import scratch
target = pathlib.Path(sys.argv[1])
with scratch(target) as folder, whole_file(target) as begun:
    (folder / "paths-0").write_text("x" * 1000)
    begun.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode < 0


def test_what_a_killed_one_left_is_removed(tmp_path: Path) -> None:
    for name in ("out.jsonl", "another.jsonl"):  # the second one finds what the first left
        killed(tmp_path / name)
        assert len(list(tmp_path.glob(".*.partial"))) == 2
    with scratch(tmp_path / "out.jsonl") as folder:
        assert {file for file in tmp_path.iterdir()} == {folder}
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    with scratch(tmp_path / "out.jsonl") as first:
        (first / "paths-0").write_text("x")
        with whole_file(tmp_path / "out.jsonl") as begun:
            begun.write_text("half")
            with scratch(tmp_path / "out.jsonl") as second:
                assert first != second
            assert (first / "paths-0").read_text() == "x"
            assert begun.read_text() == "half"


def test_folders_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".others.partial").mkdir()
    (tmp_path / ".others.partial" / "file").write_text("x")
    with scratch(tmp_path / "out.jsonl"):
        pass
    assert (tmp_path / ".others.partial" / "file").exists()
