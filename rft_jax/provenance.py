"""Which code a result comes from: the package, its commit, and the versions of what it computes with. Without JAX."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rft_jax

FIELD = "made_by"  # of a manifest: what `software` returns, and for what uses devices `runtime.describe`
OF_GIT = "commit", "changed"  # there only if git answers in time; "code" is always there
_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "transformers", "numpy")
_ROOT = Path(__file__).parents[1]
_GIT_S = 5.0  # a checkout on a slow file system must not hold up a run


@functools.cache
def software() -> dict[str, Any]:
    """Returns the code and its environment, as JSON values that are the same for every run in one environment.

    But "commit" and "changed" (whether the checkout differs from it) are there only where a checkout with git runs, and
    git answers within seconds: compare without them (OF_GIT).
    """
    return {
        "rft_jax": rft_jax.__version__,
        **_commit(),
        "code": code(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


@functools.cache
def code() -> str:
    """Returns a hash of this package's code."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for file in sorted(package.rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def line(facts: Mapping[str, Any]) -> str:
    """Returns what `software` or `runtime.describe` says as one line for people."""
    version = f"rft_jax {facts['rft_jax']}"
    if commit := facts.get("commit"):
        version += f" (commit {commit[:10]}{', changed' if facts['changed'] else ''})"
    parts = [version, f"python {facts['python']}"]
    if "processes" not in facts:
        return " · ".join(parts)
    parts.insert(1, f"jax {facts['versions'].get('jax', 'unknown')}")
    parts.append(f"{facts['processes']} process{'es' * (facts['processes'] != 1)}")
    parts += [f"{count} × {kind}" for kind, count in facts["devices"].items()]
    parts.append(f"mesh {' × '.join(f'{axis} {size}' for axis, size in facts['mesh'].items())}")
    return " · ".join(parts)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    # Only a repository of our own: an installed package may lie inside of somebody else's.
    if not (_ROOT / ".git").exists():
        return {}
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", "rft_jax", "launch", "configs")
    return {} if commit is None or changes is None else dict(zip(OF_GIT, (commit, bool(changes)), strict=True))


def _git(*arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_GIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None  # no git here, or no answer
    return done.stdout.strip() if done.returncode == 0 else None
