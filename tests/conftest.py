"""The set-up of every test: 8 fake CPU devices, strict numerics, shared compiled programs.

The environment is set before JAX is imported, and child processes inherit it.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.devices import xla_flags

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags(8)}"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parents[1] / ".cache" / "xla")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Torch's threads spin while they wait: beside another process, two take three times as long as one.
os.environ["OMP_NUM_THREADS"] = "1"
# The commands that tests start are without torch, as a user's are.
_hidden, _path = str(Path(__file__).parent / "without_torch"), os.environ.get("PYTHONPATH", "")
if _hidden not in _path.split(os.pathsep):
    os.environ["PYTHONPATH"] = _hidden + (os.pathsep + _path if _path else "")

# A suite that a script runs in its background would ignore Ctrl-C, and so would the commands that it tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

from tests import tokenizers  # noqa: E402, the environment is set by now
from tests.pipeline.tiny_runs import undisturbed  # noqa: E402, F401, one for all modules


@pytest.fixture(scope="session", params=tokenizers.NAMES)
def sample_tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Each kind of tokenizer in turn, a `tests.tokenizers.SampleTokenizer`."""
    return tokenizers.load(request.param, tmp_path_factory.mktemp("tokenizer"))
