"""Importing a module changes nothing outside it."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import contextlib, importlib, logging, os, signal, sys, threading, warnings
import jax, matplotlib
for name in {others}:
    with contextlib.suppress(ModuleNotFoundError):  # the name of what is in a module, as it may be
        importlib.import_module(name)

def state():
    loggers = [logging.getLogger(name) for name in ["", "absl", "jax", "orbax"]]
    return {{
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook),
        "loggers": [(each.level, list(each.filters), list(each.handlers)) for each in loggers],
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "warnings": list(warnings.filters),
        "jax": dict(jax.config.values),
        "matplotlib": dict.get(matplotlib.rcParams, "backend"),
        "path": list(sys.path),
        "threads": threading.active_count(),
    }}

before = state()
for name in {ours}:
    importlib.import_module(name)
    for what, value in state().items():
        assert value == before[what], f"importing {{name}} changes {{what}}: {{before[what]}} to {{value}}"
"""


def of_others(file: Path) -> set[str]:
    """Returns the modules of other packages that a module imports when it is imported itself, and names in them."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if not name.startswith("rft_jax") and name != "__future__"}


def test_nothing_is_changed():
    files = [file for file in sorted((ROOT / "rft_jax").rglob("*.py")) if "benchmark" not in file.parts]
    ours = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    others = sorted(set().union(*map(of_others, files)))
    program = PROGRAM.format(others=others, ours=ours)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
