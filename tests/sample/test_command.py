"""The command, in real processes: the same paths after any accident, and one clear line for every mistake."""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax.records import manifest as manifests
from rft_jax.records.path import read_paths
from tests.devices import xla_flags

ROOT = Path(__file__).parents[2]


def start(model, problems, workdir, *settings, devices=1, program=("launch/sample.py",), **environment):
    settings = {"k": 16, "max_new_tokens": 24, "rows": 16} | dict(setting.split("=") for setting in settings)
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        [sys.executable, *program, f"--config.model={model}", f"--config.problems={problems}", *flags,
         f"--workdir={workdir}"],
        cwd=ROOT, env=os.environ | {"XLA_FLAGS": xla_flags(devices)} | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out + err


def contents(workdir):
    return {file.name: file.read_bytes() for file in Path(workdir).glob("paths/*.jsonl")}


def paths_of(workdir):
    files = sorted(Path(workdir).glob("paths/*.jsonl"))
    found = {(path.problem, path.sample): path for file in files for path in read_paths(file)}
    assert len(found) == sum(len(file.read_text().splitlines()) for file in files)
    return found


@pytest.fixture(scope="module")
def done(model_folder, problems_file, tmp_path_factory):
    """The folder of one run that nothing disturbed, and what it said."""
    workdir = tmp_path_factory.mktemp("done")
    return workdir, run(model_folder, problems_file, workdir)


def test_paths_are_there(done):
    workdir, said = done
    paths = paths_of(workdir)
    assert set(paths) == {(problem, sample) for problem in range(64) for sample in range(16)}
    assert {path.model for path in paths.values()} == {"tiny"}
    assert {path.finish for path in paths.values()} == {"eos", "length"}
    assert all(path.tokens == 24 for path in paths.values() if path.finish == "length")
    assert len({path.response for path in paths.values()}) > 1000
    assert "occupancy" in said
    assert "tokens/s" in said
    assert "ended" in said
    assert subprocess.run(
        ["sha256sum", "--check", *[file.name for file in workdir.glob("paths/*.sha256")]],
        cwd=workdir / "paths", capture_output=True, check=False,
    ).returncode == 0  # fmt: skip


def test_done_is_done(done, model_folder, problems_file):
    workdir, _ = done
    before = contents(workdir)
    assert "nothing to do" in run(model_folder, problems_file, workdir)
    assert contents(workdir) == before


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 100])
def test_other_batch_sizes(done, model_folder, problems_file, tmp_path, rows):
    run(model_folder, problems_file, tmp_path, f"rows={rows}")
    assert contents(tmp_path) == contents(done[0])


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["mesh.tensor=2", "mesh.fsdp=4"])
def test_eight_devices(done, model_folder, problems_file, tmp_path, mesh):
    run(model_folder, problems_file, tmp_path, mesh, "rows=4", devices=8)
    assert contents(tmp_path) == contents(done[0])


# Samples with a journal every second, and notes when it sampled what, before anything else is done with it.
NOTED = """
import os, runpy, sys, time
from rft_jax.sample import shards
from rft_jax.sample.sharing import share
share.JOURNAL_S = 1.0
notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
path_of = shards.path_of
def noted(response, *others):
    os.write(notes, b"%d %d %f\\n" % (response.problem, response.sample, time.monotonic()))
    return path_of(response, *others)
shards.path_of = noted
sys.argv[0] = "launch/sample.py"
runpy.run_path("launch/sample.py", run_name="__main__")
"""


def notes_of(file):
    """Returns when each path was sampled, by problem and sample."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {(int(problem), int(sample)): float(when) for problem, sample, when in map(str.split, lines)}


@pytest.mark.slow
def test_workers_share_and_one_is_killed(done, model_folder, problems_file, tmp_path):
    """Four that come in turn, one of them killed and started again: only its last second is done twice."""

    def worker():
        name = f"worker {len(started)}"
        process = start(
            model_folder, problems_file, tmp_path, program=("-c", NOTED), NOTES=str(tmp_path / name), devices=1
        )
        started[name] = processes[name] = process

    started, processes = {}, {}
    for _ in range(4):
        worker()
    victim, enough = random.choice(list(processes)), random.randint(1, 100)
    while len(notes_of(tmp_path / victim)) < enough and processes[victim].poll() is None:
        time.sleep(0.02)
    processes[victim].kill()
    killed_at = time.monotonic()
    _, err = processes.pop(victim).communicate()
    assert started[victim].returncode in (0, -signal.SIGKILL), err  # 0: the others were faster, nothing was left
    worker()
    for process in processes.values():
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert "Traceback" not in err
    assert contents(tmp_path) == contents(done[0])
    assert not (tmp_path / "paths" / "claims").exists()

    notes = {name: notes_of(tmp_path / name) for name in started}
    sampled = collections.Counter(at for each in notes.values() for at in each)
    assert len(sampled) == 1024
    again = {(name, at) for name, each in notes.items() for at in each if sampled[at] > 1}
    told = {name: (len(each), sum(owner == name for owner, _ in again)) for name, each in notes.items()}
    print(f"killed: {victim}; sampled, and of that also by another: {told}; in all {sampled.total()}")
    # What two did was the last that the first of them did before it was killed.
    assert max(sampled.values()) <= 2
    assert all(killed_at - notes[victim].get(at, 0) < 5 for _, at in again)


@pytest.mark.slow
def test_one_job_of_several_processes(done, model_folder, problems_file, tmp_path):
    """Four processes of one device each, that JAX joins to one mesh, with the model split over pairs of them."""
    count = 4
    port = str(random.Random(os.getpid()).randint(20_000, 60_000))
    job = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count)}
    all_of_them = [
        start(model_folder, problems_file, tmp_path, "mesh.tensor=2", JAX_PROCESS_ID=str(number), **job)
        for number in range(count)
    ]
    said = [process.communicate() for process in all_of_them]
    assert [process.returncode for process in all_of_them] == [0] * count, said
    assert contents(tmp_path) == contents(done[0])


@pytest.mark.slow
def test_a_larger_k_adds(done, model_folder, problems_file, tmp_path):
    run(model_folder, problems_file, tmp_path, "k=8")
    assert "512 of 1024 paths" in run(model_folder, problems_file, tmp_path, "k=16")
    assert paths_of(tmp_path) == paths_of(done[0])


@pytest.mark.slow
def test_killed_six_times(done, model_folder, problems_file, tmp_path):
    """Kills at random moments, from the imports to the last shard; small shards would hide a half-written one."""
    choose = random.Random(0)
    whole = 20.0  # seconds that a run takes here and now: the last that ended says
    killed = 0
    for _ in range(40):
        process, begun = start(model_folder, problems_file, tmp_path, "rows=8"), time.monotonic()
        try:
            process.communicate(timeout=choose.uniform(0.3, 1.0) * whole)
            whole = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
        for name, content in contents(tmp_path).items():
            assert content == contents(done[0])[name]
        if killed == 6:
            break
        if len(contents(tmp_path)) == len(contents(done[0])):
            shutil.rmtree(tmp_path / "paths")
    assert killed == 6
    run(model_folder, problems_file, tmp_path)
    assert contents(tmp_path) == contents(done[0])


@pytest.mark.slow
def test_a_path_does_not_depend_on_when_it_was_sampled(model_folder, problems_file, tmp_path):
    """To the last bit of the log-probabilities: half of the folder is sampled again, in other company."""
    settings = "k=8", "rows=16", "logprobs=True", "max_new_tokens=40"
    run(model_folder, problems_file, tmp_path, *settings)
    before = contents(tmp_path)
    assert len(before) == 2
    (tmp_path / "paths" / max(before)).unlink()
    assert "256 of 512 paths" in run(model_folder, problems_file, tmp_path, *settings)
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_interrupted(done, model_folder, problems_file, tmp_path):
    process = start(model_folder, problems_file, tmp_path, "rows=2")
    for line in process.stderr:
        if "paths to sample" in line:
            break
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "the same command continues from there" in err
    assert "Traceback" not in err
    for name, content in contents(tmp_path).items():
        assert content == contents(done[0])[name]
    run(model_folder, problems_file, tmp_path)
    assert contents(tmp_path) == contents(done[0])


def test_a_corrupt_shard_is_sampled_anew(done, model_folder, problems_file, tmp_path):
    shutil.copytree(done[0] / "paths", tmp_path / "paths")
    victim = sorted((tmp_path / "paths").glob("*.jsonl"))[1]
    victim.write_bytes(victim.read_bytes()[:-1] + b" ")
    said = run(model_folder, problems_file, tmp_path)
    assert f"{victim.name} does not match its checksum" in said
    assert "128 of 1024 paths" in said
    assert contents(tmp_path) == contents(done[0])


def test_a_mistake_is_one_line(model_folder, problems_file, tmp_path):
    process = start(model_folder, problems_file, tmp_path, "temperature=-1")
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: temperature = -1.0")


def test_manifest_names_every_setting(done):
    manifest = json.loads((done[0] / "paths" / manifests.NAME).read_text())
    assert {"model", "prompts", "temperature", "top_k", "seed", "max_new_tokens", "end_tokens", "compute"} <= set(
        manifest
    )
