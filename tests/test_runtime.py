"""The mesh, and several processes that find each other."""

import os
import socket
import subprocess
import sys

import jax
import pytest

from rft_jax import runtime
from rft_jax.errors import UserError
from rft_jax.runtime import make_mesh
from tests.devices import xla_flags


def test_minus_one_takes_what_is_left():
    assert dict(make_mesh(2, -1, 2).shape) == {"data": 2, "fsdp": 2, "tensor": 2}
    assert dict(make_mesh(1, 1, -1).shape) == {"data": 1, "fsdp": 1, "tensor": 8}


def test_axes_are_explicit():
    assert make_mesh(1, -1, 1).axis_types == (jax.sharding.AxisType.Explicit,) * 3


@pytest.mark.parametrize("sizes", [(1, 3, 1), (1, -1, 3), (1, 4, 1), (16, -1, 1)])
def test_sizes_that_do_not_fit_name_what_would(sizes):
    with pytest.raises(UserError, match="does not cover the 8 devices here; these would: fsdp 8 × tensor 1"):
        make_mesh(*sizes)


@pytest.mark.parametrize("sizes", [(0, 8, 1), (-1, -1, 1), (-2, 1, 1)])
def test_senseless_sizes(sizes):
    with pytest.raises(UserError, match=r"at least 1|only one axis may be -1"):
        make_mesh(*sizes)


def test_a_host_of_several_that_was_not_told_so_does_not_run_alone(monkeypatch):
    """As on a TPU VM, whose shell has no variables."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match="belong to several hosts"):
        runtime.start()


PROGRAM = """
import logging
import jax
from rft_jax import runtime
runtime.start()
logging.getLogger("rft_jax.test").info("hello")
logging.getLogger("rft_jax.test").warning("beware")
print(jax.process_index(), jax.process_count(), runtime.make_mesh(1, -1, 1).shape["fsdp"])
"""


def test_two_processes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = os.environ | {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": "2",
        "XLA_FLAGS": xla_flags(4),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment | {"JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (0, 1)
    ]
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=120)
        assert out == f"{number} 2 8\n", err
        assert "beware" in err
        assert ("hello" in err) == (number == 0)


FREES = """
import ctypes
import resource
from rft_jax import runtime
runtime.start()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = ctypes.c_void_p
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = resident()
block = libc.malloc(ctypes.c_size_t(1 << 28))
ctypes.memset(block, 1, 1 << 28)
libc.free(ctypes.c_void_p(block))
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_stays_with_the_process():
    done = subprocess.run([sys.executable, "-c", FREES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 200


def test_jax_takes_most_of_a_gpu_unless_told_otherwise():
    environ: dict[str, str] = {}
    runtime.use_gpu_memory(environ)
    assert 0.9 <= float(environ["XLA_CLIENT_MEM_FRACTION"]) < 1
    told = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}
    runtime.use_gpu_memory(told)
    assert told == {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}
    chosen = {"XLA_CLIENT_MEM_FRACTION": "0.5"}
    runtime.use_gpu_memory(chosen)
    assert list(map(runtime.gpu_memory_chosen, ({}, environ, told, chosen))) == [False, False, True, True]
