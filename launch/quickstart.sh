#!/usr/bin/env bash
# Sets up the environment if needed, then runs the whole loop on the embedded default, on a CPU:
#   launch/quickstart.sh [WORKDIR] [SEED]
# base model → SFT of two models → sampling → selection → RFT and its controls → evaluation → report.
# Started again, it skips what is done and resumes where it was stopped.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
workdir=${1:-out/quickstart}
[[ $workdir = /* || $# = 0 ]] || workdir=$here/$workdir
source launch/setup.sh
setup_environment base
export JAX_PLATFORMS=cpu
exec "$PYTHON" launch/pipeline.py --config="configs/quickstart.py:${2:-0}" --workdir="$workdir"
