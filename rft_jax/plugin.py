"""NAME or FILE.py: plugins that the package ships under a name or that users add as files.

A task, a grader or a selection rule is a module that defines one value (`TASK`, `GRADER`, `RULE`), loaded by the same
few lines whoever wrote it. Commands and worker processes pass the reference on, never the value.
"""

import functools
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from rft_jax.errors import UserError, did_you_mean


def load(reference: str, attribute: str, shipped: Mapping[str, str]) -> Any:
    """Returns the value that a module defines.

    Args:
        reference: a name in `shipped`, or the path of a Python file.
        attribute: name of the value in the module, such as "TASK".
        shipped: maps a name to its module.

    Raises:
        UserError: the name is unknown, or the file is missing, raises or does not define the value.
    """
    if reference in shipped:
        return getattr(importlib.import_module(shipped[reference]), attribute)
    if not reference.endswith(".py"):
        known = ", ".join(shipped)
        raise UserError(
            f"no {attribute.lower()} is called '{reference}'{did_you_mean(reference, shipped)}; known: {known}, or a "
            f"FILE.py that defines {attribute}"
        )
    module = import_file(str(Path(reference).absolute()))
    if not hasattr(module, attribute):
        raise UserError(f"{reference} defines no {attribute}")
    return getattr(module, attribute)


def placed(reference: str) -> str:
    """Returns a reference that means the same from any other folder."""
    return str(Path(reference).absolute()) if reference.endswith(".py") else reference


@functools.cache
def import_file(path: str) -> ModuleType:
    """Returns a Python file as a module; each file runs once per process.

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
    except Exception as error:  # whatever a user's file raises
        raise UserError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
