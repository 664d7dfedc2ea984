"""NAME or FILE.py: plugins that the package ships under a name or that users add as files.

A task, a grader or a selection rule is a module that defines one value (`TASK`, `GRADER`, `RULE`), loaded by the same
few lines whoever wrote it. Commands and worker processes pass the reference on, never the value. A fault in a user's
file is told in one line, whenever it shows.
"""

import contextlib
import functools
import importlib
import importlib.util
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from rft_jax.errors import UserError, did_you_mean

Value = TypeVar("Value")
_MODULE = "plugin_"  # what the modules of users' files are called, and no other


def load(reference: str, attribute: str, kind: type[Value], shipped: Mapping[str, str]) -> Value:
    """Returns the value that a module defines.

    Args:
        reference: a name in `shipped`, or the path of a Python file.
        attribute: name of the value in the module, such as "TASK".
        kind: what the value must be.
        shipped: maps a name to its module.

    Raises:
        UserError: the name is unknown, or the file is missing, raises or does not define the value.
    """
    if reference in shipped:
        value: Value = getattr(importlib.import_module(shipped[reference]), attribute)
        return value
    if not reference.endswith(".py"):
        known = ", ".join(shipped)
        raise UserError(
            f"no {attribute.lower()} is called '{reference}'{did_you_mean(reference, shipped)}; known: {known}, or a "
            f"FILE.py that defines {attribute}"
        )
    module = import_file(placed(reference))
    if not hasattr(module, attribute):
        raise UserError(f"{reference} defines no {attribute}")
    found = getattr(module, attribute)
    if not isinstance(found, kind):
        raise UserError(f"{reference}: {attribute} is {described(found)}, not a {kind.__name__}")
    return found


def described(value: object) -> str:
    """Returns what a value is, to tell a user who put it in the wrong place."""
    return f"the class {value.__name__} itself" if isinstance(value, type) else f"a {type(value).__name__}"


def placed(reference: str) -> str:
    """Returns a reference that means the same from any other folder."""
    # One file has one name, so `..` and links to folders go; a linked file keeps its name, and what lies beside that.
    return str(Path(reference).parent.resolve() / Path(reference).name) if reference.endswith(".py") else reference


@contextlib.contextmanager
def blamed() -> Iterator[None]:
    """Turns what a user's file raises while it is at work into a UserError that names its line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            module = frame.f_globals.get("__name__", "")
            if module.startswith(_MODULE):
                place = f"{frame.f_code.co_filename}:{line}"
                raise UserError(f"{place}: {type(error).__name__}: {error}") from error
            if module.startswith("rft_jax."):
                break
        raise


@functools.cache
def import_file(path: str) -> ModuleType:
    """Returns a Python file as a module; each file runs once per process.

    Raises:
        UserError: there is no such file, or it raises.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"no file {file}")
    spec = importlib.util.spec_from_file_location(f"{_MODULE}{file.stem}", file)
    assert spec is not None, "a path that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (Exception, SystemExit) as error:  # whatever a user's file raises
        raise UserError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
