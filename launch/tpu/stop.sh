#!/usr/bin/env bash
# Stops the command on all hosts, with everything saved; its log says when it has ended: launch/tpu/collect.sh.
#
#     launch/tpu/stop.sh
set -euo pipefail
source "$(dirname "$0")/settings.sh"
# shellcheck disable=SC2016  # expanded there
on_hosts all "$FIND_COMMAND"'
  if [ -n "$pid" ]; then kill "$pid"; else echo "no command is running on $(hostname)"; fi'
