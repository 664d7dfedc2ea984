"""The manifests are what Kubernetes' schemas ask for, and their pods are the right processes of the right commands."""

import copy
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax import stopping
from rft_jax.config import EvaluateConfig, SampleConfig, TrainConfig
from rft_jax.config_flag import load, override
from rft_jax.distributed.processes import ADDRESS, JAX, Processes, from_environment
from tests.devices import xla_flags
from tests.launch.test_train import command, finish, start, steps_done, wait_until, weights
from tests.train.conftest import data, model_folder  # noqa: F401

ROOT = Path(__file__).parents[2]
pytest.importorskip("yaml", reason="PyYAML, which reads the manifests, is not installed")

from tests.launch import kubernetes_pods  # noqa: E402, it needs yaml
from tests.launch.kubernetes_pods import FOLDER, container, documents, job, pods  # noqa: E402

NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
JOBS = ["evaluate", "sample", "select", "train"]
WORKERS = ["evaluate", "sample"]
SCHEMAS = {"train": TrainConfig, "sample": SampleConfig, "evaluate": EvaluateConfig}


def pod_spec(name):
    return job(name)["spec"]["template"]["spec"]


@pytest.fixture
def edited(monkeypatch, tmp_path):
    """Lets the functions of kubernetes_pods see another text of train.yaml."""

    def edit(text):
        (tmp_path / "train.yaml").write_text(text)
        monkeypatch.setattr(kubernetes_pods, "FOLDER", tmp_path)

    return edit


def test_the_jobs_are_all_there():
    assert sorted([*JOBS, "claim"]) == NAMES


@pytest.mark.parametrize("oldest", [True, False], ids=["1.31", "newest"])
@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_of_kubernetes_take_them(name, oldest):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    version = "1.31" if oldest else kubernetes_validate.latest_version()
    for document in documents(name):
        assert kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(
    "path", ["spec", "spec.template.spec", "spec.podFailurePolicy", "spec.template.spec.volumes.0"]
)
def test_the_schemas_find_a_typo(path):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    broken = place = copy.deepcopy(job("train"))
    for part in path.split("."):
        place = place[int(part) if part.isdecimal() else part]
    place["nodeSelectr"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="nodeSelectr"):
        kubernetes_validate.validate(broken, "1.31", strict=True)


@pytest.mark.parametrize("hosts", [1, 2, 32])
def test_the_pods_of_a_training_are_one_run(hosts, edited):
    text = (FOLDER / "train.yaml").read_text()
    # As a user edits it.
    text, edits = re.subn(r'(completions: |parallelism: |JAX_NUM_PROCESSES, value: ")2\b', rf"\g<1>{hosts}", text)
    assert edits == 3
    edited(text)
    processes = [from_environment(pod.environment, gpus=8) for pod in pods("train")]
    if hosts == 1:
        assert processes == [None]
        return
    assert processes == [Processes(hosts, number, processes[0].address) for number in range(hosts)]


def test_process_0_is_found_by_its_name():
    service, made = documents("train")
    name, domain = pods("train")[0].environment["JAX_COORDINATOR_ADDRESS"].partition(":")[0].split(".")
    assert name == pods("train")[0].name
    assert domain == pod_spec("train")["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    # Kubernetes labels the pods of a Job so.
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": made["metadata"]["name"]}


def test_another_name_is_put_in_everywhere(edited):
    (command,) = re.findall(r"sed (s/\S+/g)$", (FOLDER / "train.yaml").read_text(), re.MULTILINE)
    done = subprocess.run(["sed", command, FOLDER / "train.yaml"], capture_output=True, text=True, check=True)
    text = done.stdout
    edited(text)
    test_process_0_is_found_by_its_name()
    assert container("train")["args"][0] == "launch/train.py"


@pytest.mark.parametrize("name", WORKERS)
def test_workers_are_not_numbered(name):
    assert "completions" not in job(name)["spec"]
    assert job(name)["spec"].get("completionMode", "NonIndexed") == "NonIndexed"
    for pod in pods(name):
        assert not pod.environment.keys() & {*JAX, "JOB_COMPLETION_INDEX"}
        assert from_environment(pod.environment, gpus=1) is None
    assert len({tuple(pod.command) for pod in pods(name)}) == 1


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_commands_have_the_fields_of_their_configs(name):
    script, *arguments = pods(name)[0].command
    assert script == f"launch/{name}.py"
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    config = load(str(ROOT / flags.pop("config")), SCHEMAS[name])
    assert flags.pop("workdir").startswith("/shared/")
    for flag, value in flags.items():
        assert flag.startswith("config.")
        config = override(config, flag.removeprefix("config."), value)


@pytest.mark.parametrize("name", ["train", "sample", "evaluate", "select"])
def test_commands_start(name, tmp_path):
    """Each complains about the files, which are not here, and not about its flags."""
    pod = pods(name)[0]
    arguments = [argument.replace("/shared/", f"{tmp_path}/") for argument in pod.command]
    code, errors = finish(start([sys.executable, *arguments], **without(pod.environment, *JAX)))
    assert code == 1, shlex.join(arguments) + errors
    assert str(tmp_path) in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", JOBS)
def test_what_is_mounted_is_there(name):
    volumes = {volume["name"]: volume for volume in pod_spec(name)["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    (claim,) = documents("claim")
    assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    folders = [part for argument in container(name)["args"] for part in re.findall(r"=(/[^=]+)", argument)]
    assert folders
    assert all(folder.startswith(f"{mounts['shared']}/") for folder in folders)


@pytest.mark.parametrize("name", JOBS)
def test_only_what_uses_devices_asks_for_gpus(name):
    gpus = int(container(name)["resources"].get("limits", {}).get("nvidia.com/gpu", 0))
    assert (gpus > 0) == (name != "select")
    assert ("shm" in {volume["name"] for volume in pod_spec(name)["volumes"]}) == (name != "select")


def test_selection_uses_the_cpus_that_it_asks_for():
    assert f"--workers={container('select')['resources']['requests']['cpu']}" in pods("select")[0].command


@pytest.mark.parametrize("name", JOBS)
def test_a_command_ends_before_it_is_killed(name):
    grace = float(pods(name)[0].environment.get("RFT_JAX_GRACE_S", stopping.GRACE_S))
    assert grace + 3 < pod_spec(name)["terminationGracePeriodSeconds"]  # 3 s: what a guardian waits longer


def outcome(name, code, disrupted=False):
    """Returns what the failure policy does about a pod that ended so: its first rule that fits counts."""
    for rule in job(name)["spec"]["podFailurePolicy"]["rules"]:
        if codes := rule.get("onExitCodes"):
            assert (codes["operator"], codes["containerName"]) == ("In", container(name)["name"])
            assert codes["values"] == sorted(set(codes["values"]) - {0})  # Kubernetes refuses others
            fits = code in codes["values"]
        else:
            fits = disrupted and rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        if fits:
            return rule["action"]
    return "Count"


@pytest.mark.parametrize("name", JOBS)
def test_what_was_interrupted_starts_again_and_a_mistake_ends(name):
    spec = job(name)["spec"]
    assert pod_spec(name)["restartPolicy"] == "Never"  # with a failure policy Kubernetes takes no other
    assert [outcome(name, code) for code in (130, 143)] == ["Ignore", "Ignore"]
    assert outcome(name, 137, disrupted=True) == outcome(name, 1, disrupted=True) == "Ignore"
    assert outcome(name, 1) == outcome(name, 137) == "Count"  # a mistake, or a lost machine: not without end
    retries = spec["backoffLimitPerIndex"] if name == "train" else spec["backoffLimit"]
    assert outcome(name, 2) == "FailJob" or retries == 0
    assert retries < 10


def test_a_training_is_done_with_process_0_and_failed_with_any():
    spec = job("train")["spec"]
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    assert spec["maxFailedIndexes"] == 0
    assert "backoffLimit" not in spec


@pytest.mark.slow
def test_the_pods_train_together_and_after_a_preemption_go_on(model_folder, data, tmp_path):  # noqa: F811
    def start_all():
        here = at_home()
        return [start(command(model_folder, data, tmp_path), **(pod.environment | here)) for pod in pods("train")]

    processes = start_all()
    wait_until(lambda: steps_done(tmp_path) >= 3, processes[0])
    processes[1].send_signal(signal.SIGTERM)  # only its node is drained
    ended = [finish(process) for process in processes]
    assert [outcome("train", code) for code, _ in ended] == ["Ignore", "Ignore"], ended
    saved = steps_done(tmp_path)
    ended = [finish(process) for process in start_all()]
    assert [code for code, _ in ended] == [0, 0], ended
    assert f"resuming after step {saved}" in ended[0][1]
    assert steps_done(tmp_path) > saved
    assert weights(tmp_path)


@pytest.mark.parametrize("number", [0, 1])
def test_a_pod_that_waits_for_the_others_ends_at_once_when_asked(number):
    """However long it would wait for them, or be given to save."""
    process = start([sys.executable, "-c", WAITS], **(pods("train")[number].environment | at_home()))
    try:
        assert process.stdout.readline() == "begins\n"
        time.sleep(3)  # it looks for the others by now
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        code, errors = finish(process, 20)
    finally:
        process.kill()  # its guarded child ends with it
    assert outcome("train", code) == "Ignore", errors
    assert errors == f"error: {stopping.INTERRUPTED}\n"


WAITS = """
from rft_jax import command, runtime
def main():
    print("begins", flush=True)
    runtime.start()
command.run(main)
"""


def at_home():
    """Returns what is different on one machine without GPUs, where the pods' names mean nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return {
        ADDRESS: f"127.0.0.1:{port}",
        "XLA_FLAGS": xla_flags(4),
    }


def without(variables, *names):
    return {name: value for name, value in variables.items() if name not in names}


DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def test_the_image_has_what_the_commands_need():
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE)
    assert {"rft_jax", "configs", "launch", "launch/locked/base.txt"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    ignored, *kept = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert ignored == "*"
    assert {name.split("/")[0] for name in copied} == {name.removeprefix("!") for name in kept if name[0] == "!"}
    (python,) = re.findall(r"^FROM python:(3\.\d+)-slim$", DOCKERFILE, re.MULTILINE)
    assert python in ("3.11", "3.12", "3.13")


def test_the_image_is_safe_and_names_no_index():
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[1] == re.search(r"--uid (\d+)", DOCKERFILE)[1] != "0"
    assert "index-url" not in DOCKERFILE
    assert "://" not in DOCKERFILE
    assert all(pod_spec(name)["securityContext"]["runAsNonRoot"] for name in JOBS)


@pytest.mark.parametrize(("extra", "installed"), [("cuda13", "cuda13"), ("tpu", "tpu"), ("cpu", None), ("cuda12", 1)])
def test_the_image_is_for_the_devices_asked_for(extra, installed, tmp_path):
    """Runs the image's own choice with a stand-in for pip."""
    (choice,) = re.findall(r"^RUN (case .*?esac)$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\nif [ "$1" = list ]; then echo jax==1.2.3; echo jaxlib==4; else echo "$@"; fi\n')
    pip.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", choice.replace("\\\n", "")],
        env={"EXTRA": extra, "PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == (installed == 1)
    assert done.stdout.split()[-1:] == ([f"jax[{extra}]==1.2.3"] if installed == extra else [])
