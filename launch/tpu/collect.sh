#!/usr/bin/env bash
# Shows the end of each host's log, and copies a folder from host 0, on which process 0 has written it.
#
#     launch/tpu/collect.sh                      only the logs
#     launch/tpu/collect.sh /shared/OUT OUT      OUT appears when all of it is there
set -euo pipefail
source "$(dirname "$0")/settings.sh"
if [ $# -ne 0 ] && [ $# -ne 2 ]; then
  echo "error: give a folder there and a new one here, or nothing" >&2
  exit 2
fi
if [ $# -eq 2 ] && [ -e "$2" ]; then
  echo "error: $2 is there already: give a new folder" >&2
  exit 1
fi

# shellcheck disable=SC2016  # expanded there
on_hosts all 'echo "== $(hostname)"; tail -n 5 rft_jax.log'
if [ $# -eq 2 ]; then
  folder=$(mktemp -d "$2.partial.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  gcloud compute tpus tpu-vm scp "$RFT_TPU_NAME:$1" "$folder/copy" --zone="$RFT_TPU_ZONE" --worker=0 --recurse
  mv "$folder/copy" "$2"
fi
