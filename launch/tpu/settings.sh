#!/usr/bin/env bash
# Settings of the scripts in this folder, which source this file. Edit them, or set them in the environment.
# The scripts were tested with a stand-in for gcloud; they have not been run on a real TPU yet.
: "${RFT_TPU_NAME:=}"     # of your choice
: "${RFT_TPU_ZONE:=}"     # such as us-east5-a
: "${RFT_TPU_TYPE:=}"     # such as v5p-16, v6e-8
: "${RFT_TPU_RUNTIME:=}"  # the software for that type: v2-alpha-tpuv5 for v5p, v2-alpha-tpuv6e for v6e
: "${RFT_TPU_SPOT:=}"     # 1: cheaper, and taken away at any time
# A file system that all hosts mount at /shared, HOST:/EXPORT, such as a Filestore's. A slice of several hosts needs one
# for --workdir; a single host can do without.
: "${RFT_TPU_NFS:=}"

missing=()
for setting in RFT_TPU_NAME RFT_TPU_ZONE RFT_TPU_TYPE RFT_TPU_RUNTIME; do
  [ -n "${!setting}" ] || missing+=("$setting")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "error: not set: ${missing[*]}; edit launch/tpu/settings.sh, or export them" >&2
  exit 1
fi

# On one host (0, 1, …) or on all: on_hosts WHICH COMMAND
on_hosts() {
  gcloud compute tpus tpu-vm ssh "$RFT_TPU_NAME" --zone="$RFT_TPU_ZONE" --worker="$1" --command="$2"
}

# For on_hosts: sets pid to the number of the command that runs there, or to nothing. The file outlives the command, and
# after a reboot the number may be that of another process; a command's first argument begins with launch/.
# shellcheck disable=SC2016,SC2034  # expanded there, used by the scripts
FIND_COMMAND='pid=$(cat rft_jax.pid 2>/dev/null || true)
  grep -qsz ^launch/ "/proc/${pid:-none}/cmdline" || pid='
