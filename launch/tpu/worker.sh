#!/usr/bin/env bash
# What run.sh does on each host of a slice:
#   worker.sh setup [HOST:/EXPORT]     mounts the shared file system, makes the environment
#   worker.sh start COMMAND…           starts the command as one process of the slice's
set -euo pipefail
cd "$(dirname "$0")/../.."
source launch/setup.sh

attribute() {
  curl -sSf --retry 5 -H 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

installed() { dpkg -s "$1" >/dev/null 2>&1 || sudo apt-get install -yqq -o DPkg::Lock::Timeout=300 "$1" >/dev/null; }

case ${1:-} in
  setup)
    if [ -n "${2:-}" ] && ! mountpoint -q /shared; then
      installed nfs-common
      sudo mkdir -p /shared
      sudo mount -t nfs "$2" /shared
      sudo chmod a+rwx /shared
    fi
    supported_python >/dev/null 2>&1 || { sudo apt-get update -qq && installed python3.11-venv; }
    setup_environment base
    # What JAX itself pins for the locked version.
    "$PYTHON" -m pip install -qq --disable-pip-version-check \
      "jax[tpu]==$("$PYTHON" -m pip list --format=freeze 2>/dev/null | sed -n 's/^jax==//p')"
    ;;
  start)
    shift
    setup_environment base
    # A TPU VM's shell has no variables that say which host of the slice it is; its metadata do.
    endpoints=$(attribute worker-network-endpoints)
    IFS=, read -ra hosts <<<"$endpoints"
    # A host is an address, or NAME:ID:ADDRESS.
    export JAX_COORDINATOR_ADDRESS=${hosts[0]##*:}:8482 JAX_NUM_PROCESSES=${#hosts[@]}
    JAX_PROCESS_ID=$(attribute agent-worker-number)
    export JAX_PROCESS_ID
    echo "== $(date): process $JAX_PROCESS_ID of $JAX_NUM_PROCESSES: $*" >>"$HOME/rft_jax.log"
    # A session of its own, so that it outlives this one.
    # shellcheck disable=SC2016  # expanded there
    setsid nohup bash -c '"$@" & echo $! >"$HOME/rft_jax.pid"; wait $!; echo "== ended with exit code $?"' \
      start "$PYTHON" "$@" >>"$HOME/rft_jax.log" 2>&1 </dev/null &
    ;;
  *)
    echo "error: run.sh calls this script" >&2
    exit 2
    ;;
esac
