"""NAME or FILE.py: what the package ships under a name, and what a user adds in a file of their own.

A task, a grader or a selection rule is a module that defines one value (`TASK`, `GRADER`, `RULE`); the shipped ones
and a user's are loaded by the same few lines. Commands and worker processes pass the reference on, never the value.
"""

import functools
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from rft_jax.errors import UserError, did_you_mean

T = TypeVar("T")


def load(reference: str, attribute: str, shipped: Mapping[str, str], kind: type[T]) -> T:
    """Returns what a module defines.

    Args:
        reference: a name in `shipped`, or the path of a Python file.
        attribute: the name of the value in the module, such as "TASK".
        shipped: name -> module.
        kind: of the value.

    Raises:
        UserError: an unknown name, no such file, an error in it, or a file that defines no such value of that kind.
    """
    if reference in shipped:
        return _value(importlib.import_module(shipped[reference]), reference, attribute, kind)
    if not reference.endswith(".py"):
        known = ", ".join(shipped)
        raise UserError(
            f"no {attribute.lower()} is called '{reference}'{did_you_mean(reference, shipped)}; known: {known}, or a "
            f"file FILE.py that defines {attribute}"
        )
    return _value(import_file(str(Path(reference).absolute())), reference, attribute, kind)


def _value(module: ModuleType, reference: str, attribute: str, kind: type[T]) -> T:
    if not hasattr(module, attribute):
        raise UserError(f"{reference} defines no {attribute}")
    value = getattr(module, attribute)
    if not isinstance(value, kind):
        raise UserError(f"{reference}: {attribute} is {value!r:.60}, not a {kind.__name__}")
    return value


def placed(reference: str) -> str:
    """Returns a reference that whoever reads it later, perhaps in another folder, understands alike."""
    return str(Path(reference).absolute()) if reference.endswith(".py") else reference


@functools.cache
def import_file(path: str) -> ModuleType:
    """Returns the module that a Python file makes; each file runs once per process.

    Raises:
        UserError: there is no such file, or it raises.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"no file {file}")
    spec = importlib.util.spec_from_file_location(f"plugin_{file.stem}", file)
    assert spec is not None, "a path that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's file raises
        raise UserError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
