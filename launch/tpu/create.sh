#!/usr/bin/env bash
# Asks for a TPU slice, and waits until it is there. Interrupted, the same command waits on.
#
#     launch/tpu/create.sh
set -euo pipefail
source "$(dirname "$0")/settings.sh"

state() {
  gcloud compute tpus queued-resources describe "$RFT_TPU_NAME" --zone="$RFT_TPU_ZONE" --format='value(state.state)'
}

if ! state >/dev/null 2>&1; then
  gcloud compute tpus queued-resources create "$RFT_TPU_NAME" --node-id="$RFT_TPU_NAME" --zone="$RFT_TPU_ZONE" \
    --accelerator-type="$RFT_TPU_TYPE" --runtime-version="$RFT_TPU_RUNTIME" ${RFT_TPU_SPOT:+--spot}
fi
while now=$(state) && [ "$now" != ACTIVE ]; do
  case $now in
    FAILED | SUSPENDING | SUSPENDED | DELETING)
      echo "error: $RFT_TPU_NAME is $now: launch/tpu/delete.sh, then ask again" >&2
      exit 1
      ;;
  esac
  echo "$RFT_TPU_NAME is $now …"
  sleep "${RFT_TPU_WAIT_S:-30}"
done
[ "$now" = ACTIVE ] || exit 1  # gcloud has said why
echo "$RFT_TPU_NAME is there: launch/tpu/run.sh starts a command on it"
