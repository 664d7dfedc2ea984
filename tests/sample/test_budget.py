"""The command with a budget, in real processes: a part of the uniform run to the byte, whoever is killed on the way."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from rft_jax.records.path import write_paths
from rft_jax.sample.sharing.ledger import DECISIONS
from tests.launch.test_train import free_port
from tests.sample.test_command import contents, paths_of, run, start

POLICIES = ["correct=3", "tokens=12000:first=4"]


# A task that a random model solves now and then: problems are hard or easy by their gold answer, an even number or not.
TASK = """
import dataclasses

from rft_jax.task import gsm8k
from rft_jax.task.grader import Grader


class Letters(Grader):
    name = "letters"

    def parse(self, text):
        return int(text.split()[-1]) if "####" in text else sum(letter in "aeiou0123456789" for letter in text)

    def equal(self, answer, gold):
        return answer % (2 + 5 * (gold % 2)) == 0


GRADER = Letters()
TASK = dataclasses.replace(gsm8k.TASK, name="letters", grader=__file__, audits=())
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    file = tmp_path_factory.mktemp("task") / "letters.py"
    file.write_text(TASK)
    return file


@pytest.fixture(scope="module")
def uniform(model_folder, problems_file, task, tmp_path_factory):
    """Returns the folder of the uniform run."""
    folder = tmp_path_factory.mktemp("uniform")
    run(model_folder, problems_file, folder, program=program(task, "uniform"))
    return folder


def program(task, budget):
    return "launch/sample.py", f"--config.task={task}", f"--config.budget={budget}"


@pytest.fixture(scope="module", params=POLICIES)
def adaptive(request, task, model_folder, problems_file, tmp_path_factory):
    """Returns a policy and the folder of a run by it that nothing disturbed."""
    folder = tmp_path_factory.mktemp("adaptive")
    run(model_folder, problems_file, folder, program=program(task, request.param))
    return request.param, folder


@pytest.mark.slow
def test_it_is_a_part_of_the_uniform_run_and_what_the_replay_takes(adaptive, uniform, task, problems_file, tmp_path):
    budget, folder = adaptive
    found, everything = paths_of(folder), paths_of(uniform)
    assert 64 < len(found) < len(everything)
    assert all(everything[number] == path for number, path in found.items())
    told = json.loads((folder / "paths" / DECISIONS).read_text())
    assert len(set(told["samples"])) > 2
    assert set(found) == {(problem, sample) for problem, most in enumerate(told["samples"]) for sample in range(most)}
    write_paths(tmp_path / "all.jsonl", everything.values())
    replayed = subprocess.run(
        [sys.executable, "launch/replay.py", f"--paths={tmp_path}/all.jsonl", f"--problems={problems_file}",
         f"--task={task}",
         f"--budgets={budget}", f"--output={tmp_path}/out"], check=True, capture_output=True, text=True,
    )  # fmt: skip
    [counts] = json.loads((tmp_path / "out" / "replay.json").read_text())["policies"]
    assert (counts["samples"], counts["tokens"]) == (len(found), sum(path.tokens for path in found.values())), replayed


@pytest.mark.slow
@pytest.mark.parametrize("adaptive", POLICIES[:1], indirect=True)
def test_two_processes_of_one_job_make_the_same(adaptive, task, model_folder, problems_file, tmp_path):
    """What comes back is decided on by the first alone, and both sample it."""
    budget, folder = adaptive
    job = {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    asked = {"program": program(task, budget), **job}
    both = [start(model_folder, problems_file, tmp_path, JAX_PROCESS_ID=str(number), **asked) for number in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert contents(tmp_path) == contents(folder)


@pytest.mark.slow
@pytest.mark.parametrize("adaptive", POLICIES[1:], indirect=True)
def test_workers_and_kills_make_the_same(adaptive, task, model_folder, problems_file, tmp_path):
    """Three at a time, of which some are killed and started again."""
    budget, folder = adaptive
    draw, killed, processes = random.Random(0), 0, []

    def worker():
        processes.append(start(model_folder, problems_file, tmp_path, "rows=8", program=program(task, budget)))

    for _ in range(3):
        worker()
    while killed < 3 and (alive := [process for process in processes if process.poll() is None]):
        time.sleep(draw.uniform(1, 8))
        victim = draw.choice(alive)
        if victim.poll() is None:
            victim.kill()
            killed += 1
            worker()
    for process in processes:
        _, err = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), err
        assert "Traceback" not in err
    assert contents(tmp_path) == contents(folder)
    assert (tmp_path / "paths" / DECISIONS).read_bytes() == (folder / "paths" / DECISIONS).read_bytes()
    assert not (tmp_path / "paths" / "claims").exists()
