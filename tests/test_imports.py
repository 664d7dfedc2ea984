"""The house's one rule: imports point down, and what needs no accelerator never imports JAX."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each floor may import its own room and any room on a floor below it; rooms on one floor do not know each other.
FLOORS: list[set[str]] = [
    {"launch"},
    {"benchmark", "doctor"},
    {"pipeline", "report", "plan"},
    {"evaluate"},
    {"train", "sample"},
    {"data"},
    {"hf"},
    {"model"},
    {"rounds"},
    {"contamination", "budget"},
    {"select", "world"},
    {"task"},
    {"records"},
    {"config_flag", "runtime", "command"},
    {"config_checks"},
    {"paper"},
    {"config"},
    {"remote"},
    {"distributed"},
    {"one_writer"},
    {"files", "hardware", "provenance"},
    {"stopping"},
    {"plugin", "environment", "ranges", "evidence"},
    {"errors", "names"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str | None:
    """Returns the room of "rft_jax.model.llama" (model), or None for others' modules."""
    parts = module.split(".")
    return parts[1] if parts[0] == "rft_jax" and len(parts) > 1 else "launch" if parts[0] == "launch" else None


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(file: Path, room: str) -> list[str]:
    wrong = []
    for module in imports(file):
        other = room_of(module)
        if other is None or other == room or other == "__version__":
            continue
        if other not in FLOOR_OF:
            wrong.append(f"{file}: imports {module}, a room that has no floor: give it one in FLOORS")
        elif FLOOR_OF[other] <= FLOOR_OF[room]:
            wrong.append(f"{file}: {room} imports {module}, which is not below it")
    return wrong


def files() -> list[tuple[Path, str]]:
    package = [(file, file.relative_to(ROOT / "rft_jax").parts[0]) for file in (ROOT / "rft_jax").rglob("*.py")]
    mains = [(file, "launch") for file in (ROOT / "launch").glob("*.py")]
    return [(file, room.removesuffix(".py")) for file, room in package + mains if room != "__init__.py"]


def test_imports_point_down():
    assert len(files()) > 20
    assert [line for file, room in files() for line in violations(file, room)] == []


def test_a_violation_is_found(tmp_path):
    upward = tmp_path / "x.py"
    upward.write_text("from rft_jax.train import loop\nimport rft_jax.errors\n")
    assert len(violations(upward, "sample")) == 1
    assert len(violations(upward, "model")) == 1
    assert violations(upward, "evaluate") == []


def test_only_checkpoint_imports_orbax():
    users = {file.name for file, _ in files() if any(name.startswith("orbax") for name in imports(file))}
    assert users <= {"checkpoint.py"}


@pytest.mark.parametrize(
    "room", ["remote", "records", "task", "select", "world", "evidence", "contamination", "budget", "rounds"]
)
def test_runs_without_jax(room):
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in (ROOT / "rft_jax" / room).glob("[!_]*.py")
    ]
    if not modules:
        pytest.skip(f"no rft_jax/{room}")
    program = f"import sys; sys.modules['jax'] = None\nimport {', '.join(modules)}"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_files_are_short():
    for file, _ in files():
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= 400, f"{file.relative_to(ROOT)} has {lines} lines: give its second job a file of its own"
