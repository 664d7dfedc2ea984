#!/usr/bin/env bash
# Copies this checkout to all hosts of the slice, sets them up, and starts one command on all of them.
#
#     launch/tpu/run.sh launch/train.py --config=configs/sft.py --config.model=/shared/DIR --config.data=/shared/FILE \
#       --workdir=/shared/OUT
#
# The command goes on when this script has ended, and its output goes to rft_jax.log on each host: launch/tpu/collect.sh
# shows and fetches it, and launch/tpu/stop.sh stops it. Given again, it goes on from its last checkpoint.
set -euo pipefail
source "$(dirname "$0")/settings.sh"
cd "$(dirname "$0")/../.."
if [ $# -eq 0 ] || [ ! -f "$1" ]; then
  echo "error: give a command of this checkout, such as launch/train.py --config=configs/sft.py …" >&2
  exit 2
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -czf "$folder/rft_jax.tar.gz" --exclude=__pycache__ LICENSE pyproject.toml rft_jax configs launch
gcloud compute tpus tpu-vm scp "$folder/rft_jax.tar.gz" "$RFT_TPU_NAME:rft_jax.tar.gz" \
  --zone="$RFT_TPU_ZONE" --worker=all
# shellcheck disable=SC2016  # expanded there
on_hosts all 'set -e
  '"$FIND_COMMAND"'
  if [ -n "$pid" ]; then
    echo "error: on $(hostname) the last command is still running: wait for it, or launch/tpu/stop.sh" >&2
    exit 1
  fi
  rm -rf rft_jax/rft_jax rft_jax/configs rft_jax/launch
  mkdir -p rft_jax
  tar -xzf rft_jax.tar.gz -C rft_jax'
on_hosts all "rft_jax/launch/tpu/worker.sh setup $(printf %q "$RFT_TPU_NFS")"
on_hosts all "rft_jax/launch/tpu/worker.sh start $(printf '%q ' "$@")"
