"""The scripts in launch/tpu/, with stand-ins for gcloud, whose hosts are folders, and for their curl and Python."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax.distributed.processes import Processes, from_environment
from tests.launch import fake_gcloud

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "launch" / "tpu"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
SETTINGS = {
    "RFT_TPU_NAME": "rft", "RFT_TPU_ZONE": "us-east5-a", "RFT_TPU_TYPE": "v5p-16", "RFT_TPU_RUNTIME": "v2-alpha-tpuv5",
}  # fmt: skip

CURL = """#!/bin/bash
case "${@: -1}" in
  http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number) echo -n "$FAKE_HOST" ;;
  http://metadata.google.internal/computeMetadata/v1/instance/attributes/worker-network-endpoints)
    echo -n "$(cat "$(dirname "$0")/endpoints")" ;;
  *) exit 22 ;;
esac
[[ "$*" == *"Metadata-Flavor: Google"* ]]
"""
# The interpreter of a host's environment: for pip it writes down what is installed, for a command its variables.
PYTHON = """#!/bin/bash
case "$*" in
  *"pip list"*) echo jax==1.2.3; echo jaxlib==1.2.3 ;;
  *"pip install"*) echo "${@: -1}" >>"$HOME/installed" ;;
  *) env >"$HOME/environment.part"; mv "$HOME/environment.part" "$HOME/environment"
     printf '%s\\n' "$@" >"$HOME/arguments"
     while [ -e "$HOME/wait" ]; do sleep 0.05; done
     exit "$(cat "$HOME/code" 2>/dev/null || echo 0)" ;;
esac
"""
SUDO = '#!/bin/bash\necho "$*" >>"$HOME/sudo"\n'


@pytest.fixture
def tpu(tmp_path):
    """A slice of two hosts that have a Python with an environment; returns its folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    shutil.copy(fake_gcloud.__file__, programs / "gcloud")
    for name, text in {"curl": CURL, "sudo": SUDO, "mountpoint": "#!/bin/sh\nexit 1\n"}.items():
        (programs / name).write_text(text)
    (programs / "python3").symlink_to(sys.executable)
    for program in programs.iterdir():
        program.chmod(0o755)
    (programs / "endpoints").write_text("t1v-n-0,t1v-n-1")
    stamp = subprocess.run(
        "cat launch/locked/*.txt pyproject.toml | cksum", shell=True, cwd=ROOT, capture_output=True, check=True
    ).stdout
    for number in range(2):
        environment = (
            tmp_path / "hosts" / str(number) / "rft_jax" / f".venv-{sys.version_info[0]}.{sys.version_info[1]}"
        )
        (environment / "bin").mkdir(parents=True)
        (environment / "made-for-base").write_bytes(stamp)
        (environment / "bin" / "python").write_text(PYTHON)
        (environment / "bin" / "python").chmod(0o755)
    return tmp_path


def run(tpu, script, *arguments, settings=SETTINGS):
    path = f"{tpu}/bin:/usr/bin:/bin"
    # Whatever goes wrong here, no real gcloud may be called, and none with anybody's account.
    assert shutil.which("gcloud", path=path) == str(tpu / "bin" / "gcloud")
    return subprocess.run(
        [FOLDER / f"{script}.sh", *arguments],
        cwd=tpu,
        env={
            "PATH": path, "FAKE_PATH": path, "FAKE_TPU": str(tpu), "RFT_TPU_WAIT_S": "0", "HOME": str(tpu),
            "CLOUDSDK_CONFIG": str(tpu / "nobody"), **settings,
        },
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def calls(tpu):
    return [json.loads(line) for line in (tpu / "calls").read_text().splitlines()] if (tpu / "calls").exists() else []


def hosts(tpu):
    return sorted((tpu / "hosts").iterdir())


def wait_for(holds, seconds=30):
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.05)


def ended(tpu):
    return all("== ended" in (host / "rft_jax.log").read_text() for host in hosts(tpu))


def variables(host):
    return dict(line.split("=", 1) for line in (host / "environment").read_text().splitlines() if "=" in line)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.stem)
def test_shellcheck_finds_nothing(script):
    shellcheck = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [shellcheck, "-x", "-P", "SCRIPTDIR", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_real_gcloud_has_these_commands_and_flags():
    """Its SDK comes with the tree of all commands, for the completion of shells; nothing is called."""
    gcloud = shutil.which("gcloud")
    tree = Path(gcloud).resolve().parents[1] / "data" / "cli" / "gcloud_completions.py" if gcloud else None
    if tree is None or not tree.exists():
        pytest.skip("no Google Cloud SDK here")
    (assignment,) = (node for node in ast.parse(tree.read_text()).body if isinstance(node, ast.Assign))
    whole = ast.literal_eval(assignment.value)
    for command, flags in fake_gcloud.COMMANDS.items():
        node = whole
        for word in command:
            node = node["commands"][word]
        assert flags <= node["flags"].keys() | whole["flags"].keys(), command


@pytest.mark.parametrize("script", ["create", "run", "stop", "collect", "delete"])
@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_a_setting_that_is_missing_is_named(tpu, script, setting):
    done = run(tpu, script, settings={name: value for name, value in SETTINGS.items() if name != setting})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: not set: {setting}; edit launch/tpu/settings.sh, or export them\n"
    assert calls(tpu) == []


def test_create_asks_once_and_waits(tpu):
    done = run(tpu, "create")
    assert done.returncode == 0, done.stderr
    made = [call for call in calls(tpu) if call[3] == "create"]
    assert made == [[
        "compute", "tpus", "queued-resources", "create", "rft", "--node-id=rft", "--zone=us-east5-a",
        "--accelerator-type=v5p-16", "--runtime-version=v2-alpha-tpuv5",
    ]]  # fmt: skip
    assert "rft is PROVISIONING" in done.stdout
    again = run(tpu, "create")
    assert again.returncode == 0
    assert len([call for call in calls(tpu) if call[3] == "create"]) == 1


def test_create_asks_for_a_spot_slice(tpu):
    assert run(tpu, "create", settings=SETTINGS | {"RFT_TPU_SPOT": "1"}).returncode == 0
    assert "--spot" in next(call for call in calls(tpu) if call[3] == "create")


@pytest.mark.parametrize("state", ["FAILED", "SUSPENDED"])
def test_create_says_when_it_waits_in_vain(tpu, state):
    (tpu / "states").write_text(f"ACCEPTED\n{state}\n")
    done = run(tpu, "create")
    assert done.returncode == 1
    assert done.stderr == f"error: rft is {state}: launch/tpu/delete.sh, then ask again\n"


@pytest.mark.parametrize("endpoints", ["t1v-n-0,t1v-n-1", "t1v:0:10.0.0.2,t1v:1:10.0.0.3"])
def test_a_command_runs_on_all_hosts_as_one_run(tpu, endpoints):
    (tpu / "bin" / "endpoints").write_text(endpoints)
    odd = "--config.data=/shared/it's $HOME *.jsonl"
    done = run(tpu, "run", "launch/train.py", "--config=configs/sft.py", odd)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: ended(tpu))
    first = "10.0.0.2" if ":" in endpoints else "t1v-n-0"
    for number, host in enumerate(hosts(tpu)):
        assert from_environment(variables(host), gpus=0) == Processes(2, number, f"{first}:8482")
        assert (host / "arguments").read_text().splitlines() == ["launch/train.py", "--config=configs/sft.py", odd]
        assert (host / "rft_jax" / "launch" / "train.py").read_bytes() == (ROOT / "launch" / "train.py").read_bytes()
        assert (host / "installed").read_text() == "jax[tpu]==1.2.3\n"
        assert "== ended with exit code 0" in (host / "rft_jax.log").read_text()
        assert not (host / "sudo").exists()


def test_one_host_runs_alone(tpu):
    shutil.rmtree(tpu / "hosts" / "1")
    (tpu / "bin" / "endpoints").write_text("t1v-n-0")
    assert run(tpu, "run", "launch/sample.py").returncode == 0
    wait_for(lambda: ended(tpu))
    assert from_environment(variables(tpu / "hosts" / "0"), gpus=0) is None


def test_a_shared_file_system_is_mounted(tpu):
    assert run(tpu, "run", "launch/train.py", settings=SETTINGS | {"RFT_TPU_NFS": "10.1.2.3:/share"}).returncode == 0
    wait_for(lambda: ended(tpu))
    for host in hosts(tpu):
        assert "mount -t nfs 10.1.2.3:/share /shared" in (host / "sudo").read_text()


def test_a_second_command_is_refused_and_the_first_can_be_stopped(tpu):
    (hosts(tpu)[1] / "wait").touch()
    assert run(tpu, "run", "launch/train.py").returncode == 0
    wait_for(lambda: all((host / "environment").exists() for host in hosts(tpu)))
    copied = (hosts(tpu)[1] / "rft_jax" / "launch" / "train.py").stat().st_ino
    done = run(tpu, "run", "launch/sample.py")
    assert done.returncode == 1
    assert "the last command is still running" in done.stderr
    assert (hosts(tpu)[1] / "rft_jax" / "launch" / "train.py").stat().st_ino == copied
    stopped = run(tpu, "stop")
    assert stopped.returncode == 0, stopped.stderr
    wait_for(lambda: "== ended with exit code 143" in (hosts(tpu)[1] / "rft_jax.log").read_text())
    assert run(tpu, "stop").stdout.count("no command is running on ") == 2


def test_another_process_with_the_number_of_the_last_command_does_not_matter(tpu):
    with subprocess.Popen(["sleep", "60"]) as other:
        (hosts(tpu)[0] / "rft_jax.pid").write_text(f"{other.pid}\n")
        assert run(tpu, "stop").returncode == 0
        done = run(tpu, "run", "launch/train.py")
        assert other.poll() is None
        other.kill()
    assert done.returncode == 0, done.stderr
    wait_for(lambda: ended(tpu))


def test_the_exit_code_is_in_the_log(tpu):
    (hosts(tpu)[0] / "code").write_text("1")
    assert run(tpu, "run", "launch/train.py").returncode == 0
    wait_for(lambda: ended(tpu))
    assert "== ended with exit code 1" in run(tpu, "collect").stdout


@pytest.mark.parametrize("arguments", [[], ["launch/trian.py"], ["--config=configs/sft.py"]])
def test_run_needs_a_command_of_this_checkout(tpu, arguments):
    done = run(tpu, "run", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: give a command of this checkout")
    assert calls(tpu) == []


def test_collect_shows_logs_and_copies_the_whole_folder(tpu):
    for host in hosts(tpu):
        (host / "rft_jax.log").write_text(f"said on {host.name}\n")
    (hosts(tpu)[0] / "out" / "model").mkdir(parents=True)
    (hosts(tpu)[0] / "out" / "model" / "config.json").write_text("{}")
    done = run(tpu, "collect", "out", f"{tpu}/here")
    assert done.returncode == 0, done.stderr
    assert "said on 0" in done.stdout
    assert "said on 1" in done.stdout
    assert (tpu / "here" / "model" / "config.json").read_text() == "{}"
    assert not list(tpu.glob("here.partial*"))
    again = run(tpu, "collect", "out", f"{tpu}/here")
    assert again.returncode == 1
    assert again.stderr == f"error: {tpu}/here is there already: give a new folder\n"


def test_collect_leaves_nothing_half_copied(tpu):
    for host in hosts(tpu):
        (host / "rft_jax.log").touch()
    assert run(tpu, "collect", "missing", f"{tpu}/here").returncode != 0
    assert not list(tpu.glob("here*"))


def test_delete(tpu):
    (tpu / "states").write_text("ACTIVE\n")
    assert run(tpu, "delete").returncode == 0
    assert calls(tpu) == [["compute", "tpus", "queued-resources", "delete", "rft", "--zone=us-east5-a", "--force"]]


def test_the_scripts_can_be_run():
    assert all(os.access(script, os.X_OK) for script in SCRIPTS if script.stem != "settings")
