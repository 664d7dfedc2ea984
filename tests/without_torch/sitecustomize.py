"""Makes the commands under test run as on a user's machine, where torch is not installed.

transformers imports torch wherever it finds it, which takes each command four seconds. tests/conftest.py puts this
folder on the path of child processes, and Python imports the module as it starts. A worker of pytest's is a child, too,
but needs torch as the oracle; it sets the variable only after its start.
"""

import importlib.machinery
import os
import sys


class WithoutTorch(importlib.machinery.PathFinder):
    """Finds what is installed, but for torch."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """Returns None for torch, as for what is not installed."""
        return None if fullname == "torch" else super().find_spec(fullname, path, target)


if "PYTEST_XDIST_WORKER" in os.environ:
    sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = WithoutTorch
