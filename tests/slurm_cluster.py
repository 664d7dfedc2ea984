"""A SLURM of one node on this machine, for tests: started by root from Debian's slurm-wlm and munge."""

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = "munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/log/ctld.log
SlurmdLogFile={folder}/log/d.log
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
KillWait=30
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=p Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing() -> str | None:
    """Returns why there can be no cluster here, or None."""
    if os.geteuid() != 0:
        return "only root can start SLURM's daemons"
    absent = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    return f"not installed: {', '.join(absent)} (Debian's slurm-wlm and munge)" if absent else None


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the environment in which SLURM's commands speak to the cluster.

    Args:
        folder: for everything that its daemons write; its path is short, as sockets' are.
    """
    for name in ("state", "spool", "log"):
        (folder / name).mkdir(parents=True)
    config = folder / "slurm.conf"
    with contextlib.ExitStack() as stack:  # as another worker of the tests may have a cluster too
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(2)]
        ports = [server.getsockname()[1] for server in servers]
    config.write_text(CONFIG.format(host=platform.node().partition(".")[0], folder=folder, ports=ports))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    environment = os.environ | {"SLURM_CONF": str(config), "PATH": PATH}

    def run(*command: str) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    pids = [folder / name for name in ("d.pid", "ctld.pid", "munge.pid")]
    try:
        run(
            "munged", f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={pids[2]}",
            f"--log-file={folder}/log/munge.log", f"--seed-file={folder}/munge.seed",
        )  # fmt: skip
        run("slurmctld", "-c")
        run("slurmd")
        limit = time.monotonic() + 60
        while (
            "idle"
            not in subprocess.run(
                ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False
            ).stdout
        ):
            assert time.monotonic() < limit, f"the node did not come up; see {folder}/log"
            time.sleep(0.5)
        yield environment
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], env=environment, capture_output=True, check=False)
        for file in pids:
            with contextlib.suppress(OSError, ValueError):
                pid = int(file.read_text())
                os.kill(pid, signal.SIGTERM)
                limit = time.monotonic() + 10
                while time.monotonic() < limit:  # until it has gone, or it would write to a folder that is gone
                    os.kill(pid, 0)
                    time.sleep(0.1)
