#!/usr/bin/env python3
"""A stand-in for gcloud: a TPU slice whose hosts are folders, on which `ssh` runs commands and `scp` copies files.

It writes down how it was called, and knows no more flags than the scripts need: a typo is an error.
FAKE_TPU is a folder with `states` (what `describe` answers, line by line; without the file there is no slice), and
`hosts/0`, `hosts/1` and so on, the hosts' home folders.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    ("compute", "tpus", "queued-resources", "create"): {
        "--node-id", "--zone", "--accelerator-type", "--runtime-version", "--spot",
    },
    ("compute", "tpus", "queued-resources", "describe"): {"--zone", "--format"},
    ("compute", "tpus", "queued-resources", "delete"): {"--zone", "--force"},
    ("compute", "tpus", "tpu-vm", "ssh"): {"--zone", "--worker", "--command"},
    ("compute", "tpus", "tpu-vm", "scp"): {"--zone", "--worker", "--recurse"},
}  # fmt: skip


def main(arguments: list[str]) -> int:
    tpu = Path(os.environ["FAKE_TPU"])
    with (tpu / "calls").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    command, rest = tuple(arguments[:4]), arguments[4:]
    flags = dict(argument.partition("=")[::2] for argument in rest if argument.startswith("--"))
    positional = [argument for argument in rest if not argument.startswith("--")]
    if command not in COMMANDS or flags.keys() - COMMANDS[command]:
        return fail(f"unrecognized arguments: {arguments}")
    match command[-1]:
        case "create":
            (tpu / "states").write_text("ACCEPTED\nPROVISIONING\nACTIVE\n")
        case "describe":
            if not (tpu / "states").exists():
                return fail("NOT_FOUND")
            now, *later = (tpu / "states").read_text().split()
            (tpu / "states").write_text("\n".join(later or [now]))
            print(now)
        case "delete":
            (tpu / "states").unlink()
        case "ssh":
            return max(run_on(host, flags["--command"]) for host in chosen(tpu, flags["--worker"]))
        case "scp":
            copy(tpu, *positional, flags["--worker"])
    return 0


def chosen(tpu: Path, worker: str) -> list[Path]:
    return sorted((tpu / "hosts").iterdir()) if worker == "all" else [tpu / "hosts" / worker]


def run_on(host: Path, command: str) -> int:
    # A login has its own environment: nothing of ours but where the stand-ins are.
    environment = {"HOME": str(host), "PATH": os.environ["FAKE_PATH"], "FAKE_HOST": host.name}
    return subprocess.run(["bash", "-c", command], cwd=host, env=environment, check=False).returncode


def copy(tpu: Path, source: str, target: str, worker: str) -> None:
    if ":" in target:
        for host in chosen(tpu, worker):
            shutil.copy(source, host / target.partition(":")[2])
        return
    (host,) = chosen(tpu, worker)
    shutil.copytree(host / source.partition(":")[2], target)


def fail(message: str) -> int:
    print(f"ERROR: (gcloud) {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
