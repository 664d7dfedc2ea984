"""Starts a command as several processes of one run, of one device each, as srun does.

python tests/launch/together.py COUNT COMMAND…
"""

import os
import socket
import subprocess
import sys


def main() -> int:
    """Returns the highest of their exit codes."""
    count, command = int(sys.argv[1]), sys.argv[2:]
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    environment = os.environ | {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count),
        # The last of the flags of one name counts.
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=1",
    }  # fmt: skip
    processes = [
        subprocess.Popen(command, env=environment | {"JAX_PROCESS_ID": str(number)}) for number in range(count)
    ]
    return max(process.wait() for process in processes)


if __name__ == "__main__":
    sys.exit(main())
