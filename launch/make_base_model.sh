#!/usr/bin/env bash
# Makes the base model of the embedded world anew: launch/make_base_model.sh WORKDIR
# The corpus and the tokenizer, pre-training from random weights, float16 weights. About 20 minutes on two cores; it goes on
# where it was stopped. To ship the result, copy WORKDIR/base_model over rft_jax/world/base_model (the model card stays).
set -euo pipefail
workdir=$(realpath -m "${1:?give a folder to work in}")
cd "$(dirname "$0")/.."
source launch/setup.sh
setup_environment base
export JAX_PLATFORMS=cpu

"$PYTHON" launch/make_problems.py --corpus=32000 --seed=0 --output="$workdir/corpus"
"$PYTHON" launch/train.py --config=configs/base_model.py --config.tokenizer="$workdir/corpus/tokenizer" \
  --config.data="$workdir/corpus/corpus.jsonl" --workdir="$workdir/run"
last=$(ls "$workdir/run/checkpoints" | sort -n | tail -1)
"$PYTHON" launch/convert.py --checkpoint="$workdir/run/checkpoints/$last" --dtype=float16 --output="$workdir/base_model"
