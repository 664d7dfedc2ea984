"""Each kind of stage of the tiny pipeline as four real processes: what one process makes of the same."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from safetensors import numpy as safetensors

from rft_jax.pipeline.stage import Record
from tests.pipeline import tiny_runs

TOGETHER = f"{sys.executable} tests/launch/together.py 4"


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_model(folder, one):
    """But for rounding: four devices add in another order than one."""
    found, expected = (safetensors.load_file(each / "model" / "model.safetensors") for each in (folder, one))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_four_processes_a_stage(undisturbed, tmp_path):
    workdir = tmp_path / "four"
    for name in tiny_runs.STAGES[:-1]:
        folder, one = workdir / name, undisturbed / name
        if name == "rft":  # one training is as another
            shutil.copytree(one, folder)
            continue
        launcher = [] if name in ("world", "contamination", "set") else [f"--launcher={TOGETHER}"]
        done = tiny_runs.run(workdir, f"--only={name}", *launcher, env=os.environ | {"XLA_FLAGS": tiny_runs.FLAGS})
        assert done.returncode == 0, done.stderr[-2000:]
        if (folder / "model").exists():
            np.testing.assert_allclose(losses(folder), losses(one), rtol=1e-6)
            assert_same_model(folder, one)
        else:
            for made in Record.read(one).outputs:
                if made.endswith(".jsonl"):
                    assert (folder / made).read_bytes() == (one / made).read_bytes(), made
        # What follows starts from the same bytes.
        shutil.rmtree(folder)
        shutil.copytree(one, folder)
    done = tiny_runs.run(workdir, env=os.environ | {"XLA_FLAGS": tiny_runs.FLAGS})
    assert done.stdout.count("done before, unchanged") == len(tiny_runs.STAGES) - 1
    assert tiny_runs.made(workdir) == tiny_runs.made(undisturbed)
