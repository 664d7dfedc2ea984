"""Which code a result comes from, with and without git."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import rft_jax
from rft_jax import provenance, runtime

ROOT = Path(__file__).parents[1]
TELL = "import json; from rft_jax import provenance; print(json.dumps(provenance.software()))"


def told_by(root, **environment):
    """Returns what a copy of the package says of itself."""
    environment = os.environ | {"PYTHONPATH": str(root)} | environment
    done = subprocess.run([sys.executable, "-c", TELL], cwd=root, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    return json.loads(done.stdout)


def git(root, *arguments):
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    return subprocess.run(
        ["git", "-C", root, *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A repository that holds what `provenance` needs."""
    package = tmp_path / "checkout" / "rft_jax"
    package.mkdir(parents=True)
    for name in ("__init__.py", "provenance.py"):
        shutil.copy(ROOT / "rft_jax" / name, package)
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "x")
    return package.parent


def test_a_commit_and_whether_the_checkout_differs_from_it(checkout):
    clean = told_by(checkout)
    assert (clean["commit"], clean["changed"]) == (git(checkout, "rev-parse", "HEAD"), False)
    (checkout / "data.jsonl").write_text("a user's file beside the code is no change of the code")
    assert told_by(checkout) == clean
    (checkout / "rft_jax" / "new.py").write_text("X = 1\n")
    changed = told_by(checkout)
    assert (changed["commit"], changed["changed"]) == (clean["commit"], True)
    assert changed["code"] != clean["code"]


def test_without_git(checkout, tmp_path):
    there = told_by(checkout)
    assert "commit" not in told_by(checkout, PATH="")
    installed = checkout / "site-packages"  # inside of somebody else's repository
    shutil.copytree(checkout / "rft_jax", installed / "rft_jax")
    alone = told_by(installed)
    assert "commit" not in alone
    assert (alone["rft_jax"], alone["code"]) == (rft_jax.__version__, there["code"])


def test_variables_of_a_git_hook_lead_to_no_other_repository(checkout, tmp_path):
    git(tmp_path, "init", "-q", "other")
    assert told_by(checkout, GIT_DIR=str(tmp_path / "other" / ".git")) == told_by(checkout)


def test_the_line():
    facts = {"rft_jax": "1.2", "commit": "abcdef0123456789", "changed": True, "python": "3.11.7",
             "versions": {"jax": "0.10.2"}}  # fmt: skip
    assert provenance.line(facts) == "rft_jax 1.2 (commit abcdef0123, changed) · python 3.11.7"
    run = {"processes": 2, "devices": {"NVIDIA A100": 16}, "mesh": {"data": 1, "fsdp": 16, "tensor": 1}}
    assert provenance.line({"rft_jax": "1.2", "python": "3.11.7", "versions": {"jax": "0.10.2"}} | run) == (
        "rft_jax 1.2 · jax 0.10.2 · python 3.11.7 · 2 processes · 16 × NVIDIA A100 · mesh data 1 × fsdp 16 × tensor 1"
    )


def test_a_run_on_these_devices(caplog):
    mesh = runtime.make_mesh(1, -1, 1)
    facts = runtime.describe(mesh)
    assert facts == json.loads(json.dumps(facts))
    assert (facts["processes"], facts["devices"]) == (1, {"cpu": 8})
    assert facts["versions"]["jax"] == jax.__version__
    runtime._say.cache_clear()
    with caplog.at_level("INFO", "rft_jax"):
        runtime.announce(mesh)
        runtime.announce(mesh)  # an evaluation samples twice
    assert [record.getMessage() for record in caplog.records] == [provenance.line(facts)]
