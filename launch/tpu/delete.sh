#!/usr/bin/env bash
# Deletes the slice with the disks of its hosts, after a question: collect first what is not on a shared file system.
#
#     launch/tpu/delete.sh
set -euo pipefail
source "$(dirname "$0")/settings.sh"
gcloud compute tpus queued-resources delete "$RFT_TPU_NAME" --zone="$RFT_TPU_ZONE" --force
