"""Each check, shown what the machine that runs the tests does not have."""

import collections
import dataclasses
import math
import shutil
import time

import jax
import pytest

from rft_jax import runtime
from rft_jax.config import MeshConfig, SampleConfig, TrainConfig
from rft_jax.config_flag import load
from rft_jax.doctor import check, examine, fit, folders, links, machines, plans
from rft_jax.doctor.check import Check, Finding, Level
from rft_jax.errors import UserError
from rft_jax.model import architecture
from rft_jax.pipeline.pace import MeanLengths
from rft_jax.pipeline.stage_settings import root


def run(each, answers=None, monkeypatch=None):
    """Returns what a check finds: of this process, or of several that answer so."""
    if answers is not None:
        told = [dataclasses.asdict(check.Answer(f"node{number}", value)) for number, value in enumerate(answers)]
        monkeypatch.setattr(check.agreement, "exchange", lambda ours: told)
    return each.run(lambda: 60.0)


@pytest.fixture
def judged(monkeypatch):
    return lambda each, *answers: run(each, answers, monkeypatch)


def test_a_check_that_hangs_ends_and_says_so():
    begun = time.monotonic()
    found = Check("x", lambda: time.sleep(100), lambda values: pytest.fail("judged"), "look at it", 0.3).run(
        lambda: 9.0
    )
    assert found == Finding(Level.FAILED, "no answer within 0 s", "look at it")
    assert time.monotonic() - begun < 3


def test_no_time_left_is_not_waited_for():
    begun = time.monotonic()
    assert Check("x", lambda: time.sleep(100), list, "", 50.0).run(lambda: -5.0).level is Level.FAILED
    assert time.monotonic() - begun < 3


def test_an_error_of_one_names_it_and_one_of_all_does_not(monkeypatch):
    answers = [check.Answer("node0", 1), check.Answer("node1", error="it is full")]
    monkeypatch.setattr(check.agreement, "exchange", lambda ours: [dataclasses.asdict(each) for each in answers])
    one = Check("x", int, lambda values: Finding(Level.OK, ""), "make room")
    assert run(one) == Finding(Level.FAILED, "process 1 on node1: it is full", "make room")
    answers[0] = dataclasses.replace(answers[1], host="node0")
    assert run(one).found == "it is full"


def test_another_version_is_named(judged):
    ours = {"rft_jax": "1", "python": "3.12.1", "code": "aa", "versions": {"jax": "0.10.2"}}
    assert judged(machines.software(), ours, ours).level is Level.OK
    found = judged(machines.software(), ours, ours | {"versions": {"jax": "0.11.0"}})
    assert (found.level, found.found) == (
        Level.FAILED, "process 1 on node1: another jax than process 0: 0.11.0, not 0.10.2",
    )  # fmt: skip
    assert "another version of our code" in judged(machines.software(), ours, ours | {"code": "bb"}).found


DEVICES = {"kinds": {"NVIDIA A100-SXM4-80GB": 8}, "platform": "gpu", "gpus": 8, "chosen": False, "limit": 6e10,
           "share_chosen": False}  # fmt: skip


def test_devices(judged):
    assert judged(machines.devices(), DEVICES, DEVICES) == Finding(
        Level.OK, "16 × NVIDIA A100-SXM4-80GB, 8 × NVIDIA A100-SXM4-80GB per process"
    )
    on_cpu = DEVICES | {"kinds": {"cpu": 1}, "platform": "cpu"}
    assert "computes on the CPU, though the host has 8 GPUs" in judged(machines.devices(), on_cpu).found
    assert judged(machines.devices(), on_cpu | {"chosen": True}).level is Level.OK
    fewer = DEVICES | {"kinds": {"NVIDIA A100-SXM4-80GB": 7}}
    assert judged(machines.devices(), DEVICES, fewer).found.startswith("process 1 on node1: 7 × NVIDIA")
    crowded = judged(machines.devices(), DEVICES, DEVICES | {"limit": 2e10})
    assert crowded.level is Level.WARNING
    assert "only 20 of its 78 GB" in crowded.found


def test_these_devices_and_their_mesh():
    assert run(machines.devices()).found == "8 × cpu"
    assert run(machines.mesh({"": MeshConfig(data=2)})).found == "data 2 × fsdp 4 × tensor 1"
    found = run(machines.mesh({"a": MeshConfig(), "b": MeshConfig(fsdp=3)}))
    assert found.level is Level.FAILED
    assert "does not cover the 8 devices" in found.found


def test_the_devices_add_rightly():
    found = links.add_on_all()
    assert (found["devices"], found["right"]) == (8, True)
    assert found["seconds"] > 0
    assert run(links.collective()).found.startswith("8 devices add 4 MiB rightly in ")


def test_a_wrong_sum_is_found(monkeypatch):
    monkeypatch.setattr(jax.lax, "psum", lambda x, axis: 7 * x)
    assert links.add_on_all()["right"] is False


def test_a_wrong_sum_and_a_slow_one(judged):
    fast = {"devices": 16, "platform": "gpu", "bytes": 64 << 20, "seconds": 1e-3, "right": True}
    assert judged(links.collective(), fast, fast).level is Level.OK
    found = judged(links.collective(), fast, fast | {"right": False})
    assert (found.level, found.found) == (Level.FAILED, "process 1 on node1: the sum over all devices is wrong")
    assert judged(links.collective(), fast, fast | {"seconds": 1.0}).level is Level.WARNING
    assert links.bus_bytes(2, 100) == 100  # each sends half, twice


def test_clocks(judged):
    now = {"now": 1e9, "file": 0.01}
    assert judged(links.clocks({}), now, now | {"now": 1e9 + 0.2}) == Finding(
        Level.OK, "2 processes within 200 ms; the file system's within 10 ms of the host's"
    )
    found = judged(links.clocks({}), now, now | {"now": 1e9 - 4})
    assert (found.level, found.found) == (
        Level.WARNING, "process 1 on node1: its clock is 4.0 s behind of process 0's",
    )  # fmt: skip
    assert "file system's clock is 9.0 s ahead" in judged(links.clocks({}), now | {"file": 9.0}).found


def test_a_workdir_that_does_not_exist_yet(tmp_path):
    place = folders.Workdir(tmp_path / "a" / "b", 0)
    assert run(place.writes()).found == f"this process can write to {tmp_path}"
    assert run(place.shared()).level is Level.OK
    assert abs(place.clock["seconds"]) < 1
    place.clean()
    assert list(tmp_path.iterdir()) == []


def test_a_workdir_that_is_a_file(tmp_path):
    (tmp_path / "a").write_text("")
    found = run(folders.Workdir(tmp_path / "a", 0).writes())
    assert found.level is Level.FAILED
    assert "is a file, not a folder" in found.found


def test_a_folder_that_process_1_does_not_see(tmp_path, judged, monkeypatch):
    place = folders.Workdir(tmp_path, 1)
    monkeypatch.setattr(folders, "_SEEN_S", 0.1)
    mark = {"folder": str(tmp_path), "steps": 0, "name": ".of-process-0"}
    judged(place.writes(), mark, mark)
    assert place._look() == [0]
    (tmp_path / mark["name"]).touch()
    assert place._look() == []
    found = judged(place.shared(), [], [0])
    assert (found.level, found.found) == (
        Level.FAILED, f"process 1 on node1: does not see what process 0 writes to {tmp_path}",
    )  # fmt: skip


def test_a_disk_that_is_too_small(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100e9, 90e9, 10e9))
    place = folders.Workdir(tmp_path / "new", 0)
    levels = [run(place.room(lambda need=need: (need, "checkpoints"))) for need in (1e9, 8e9, 11e9)]
    assert [found.level for found in levels] == [Level.OK, Level.WARNING, Level.FAILED]
    assert levels[2].found == "10 GB free of 100 GB, about 11 GB will be written (checkpoints)"
    assert "--config.keep" in levels[2].advice


def test_inputs(tmp_path, judged):
    (tmp_path / "data.jsonl").write_text("x")
    read = {"data": str(tmp_path / "data.jsonl")}
    assert run(folders.inputs(read)).found == "data: there"
    found = judged(folders.inputs(read), {"data": "aa"}, {"data": "absent"})
    assert found.found == f"process 1 on node1: data {read['data']} is not there"
    found = judged(folders.inputs(read), {"data": "aa"}, {"data": "bb"})
    assert found.found == f"process 1 on node1: data {read['data']} has other contents than on process 0"
    assert run(folders.inputs({"data": str(tmp_path / "none")})).level is Level.FAILED


TRAIN = load(f"{root()}/configs/sft.py", TrainConfig)
SAMPLE = load(f"{root()}/configs/sample.py", SampleConfig)
LENGTHS = MeanLengths(7473, 97.0, 131.0)


def test_the_state_of_a_training_is_exact():
    """fp32 weights, moments and gradients, split over all devices; what no device splits is on each."""
    size = architecture.SIZES["llama2-7b"]
    whole = fit.training(TRAIN, size, runtime.make_mesh(8, 1, 1), LENGTHS)
    split = fit.training(TRAIN, size, runtime.make_mesh(1, 8, 1), LENGTHS)
    assert whole.state == 16 * size.parameters
    norms = (2 * size.layers + 1) * size.width
    assert split.state == 16 * ((size.parameters - norms) // 8 + norms)
    small = dataclasses.replace(TRAIN, moments="bfloat16")
    assert fit.training(small, size, runtime.make_mesh(8, 1, 1), LENGTHS).state == 12 * size.parameters


def test_what_saves_memory_needs_less():
    size, mesh = architecture.SIZES["llama2-7b"], runtime.make_mesh(1, 8, 1)
    steps = [
        fit.training(dataclasses.replace(TRAIN, **change), size, mesh, LENGTHS).step
        for change in ({"remat": "none"}, {"remat": "dots"}, {"remat": "full"}, {"remat": "full", "accumulation": 4})
    ]
    assert steps == sorted(steps, reverse=True)
    assert len(set(steps)) == 4


def test_responses_beside_the_weights():
    size, mesh = architecture.SIZES["llama2-7b"], runtime.make_mesh(8, 1, 1)
    config = dataclasses.replace(SAMPLE, compute="bfloat16")
    need = fit.sampling(config, size, mesh, LENGTHS, 80e9)
    assert need.state == 2 * size.parameters
    assert need.rows == int((80e9 - need.state) / need.step)
    assert need.step == 2**19 * (LENGTHS.prompt + config.max_new_tokens) + 4 * (4 * 32_000 + 16 * 4096)
    assert fit.sampling(config, size, mesh, LENGTHS, 1e9).rows == 0


@pytest.mark.parametrize(("memory", "level"), [(1e15, Level.OK), (125e9, Level.WARNING), (1e9, Level.FAILED)])
def test_fit_is_judged(monkeypatch, memory, level):
    monkeypatch.setattr(fit, "device_memory", lambda: memory)
    size = architecture.SIZES["llama2-7b"]
    config = dataclasses.replace(TRAIN, mesh=MeshConfig(data=8, fsdp=1), accumulation=16)
    found = run(examine.memory([plans.Job("", config, lambda: size, lambda: LENGTHS)]))
    assert found.level is level
    assert found.found.startswith("108 GB of weights and other state per device")


@pytest.mark.parametrize("config", [TRAIN, SAMPLE])
def test_a_device_of_unknown_memory_is_a_warning(monkeypatch, config):
    monkeypatch.setattr(fit, "device_memory", lambda: math.nan)
    found = run(examine.memory([plans.Job("", config, lambda: architecture.SIZES["llama2-7b"], lambda: LENGTHS)]))
    assert found.level is Level.WARNING
    assert found.found.endswith("while it computes: unknown how much the device has")
    assert "nan" not in found.found


def test_what_is_shipped_is_not_read():
    read = {"model": "DIR", "data": None}
    assert plans._given(read, "math", "plain") == {"model": "DIR"}
    assert plans._given(read, "x.py", "y.jinja") == {"model": "DIR", "task": "x.py", "template": "y.jinja"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (TRAIN, "the config says no model: give --config.model"),
        (dataclasses.replace(TRAIN, size="tiny"), "the config says no data: give --config.data"),
        (dataclasses.replace(SAMPLE, model="x"), "the config says no problems: give --config.problems"),
    ],
)
def test_a_config_that_lacks_something(config, told):
    with pytest.raises(UserError, match=told):
        plans.of(config, None, on_cpu=True)


def test_what_is_written_already_needs_no_room(tmp_path):
    config = dataclasses.replace(TRAIN, size="tiny", data="hf:openai/gsm8k:main:train", keep=1)
    parameters = architecture.SIZES["tiny"].parameters
    assert plans.of(config, tmp_path, on_cpu=True).disk()[0] == parameters * (2 * 12 + 4)
    assert plans.of(config, tmp_path, on_cpu=False).disk()[0] == parameters * (2 * 12 + 2)
    (tmp_path / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "checkpoints" / "1" / "state").write_bytes(b"x" * 1000)
    assert plans.of(config, tmp_path, on_cpu=True).disk()[0] == parameters * (2 * 12 + 4) - 1000


def test_the_table_says_what_to_do():
    told = check.table([("disk", Finding(Level.FAILED, "10 GB free", "make room")), ("mesh", Finding(Level.OK, "x"))])
    assert told.splitlines() == [
        "failed  disk          10 GB free",
        "                      → make room",
        "ok      mesh          x",
    ]
