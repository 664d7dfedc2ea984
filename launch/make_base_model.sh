#!/usr/bin/env bash
# Makes the base model of the embedded world from scratch: launch/make_base_model.sh WORKDIR
# It writes the corpus and the tokenizer, pre-trains from random weights, and picks the first checkpoint that solves 25 % of
# 800 problems: strong enough to find right paths, weak enough to leave room. It takes 24 minutes on one core and resumes
# where it was stopped. To ship the result, copy the files in WORKDIR/base_model to rft_jax/world/base_model.
set -euo pipefail
workdir=$(realpath -m "${1:?give a folder to work in}")
cd "$(dirname "$0")/.."
source launch/setup.sh
setup_environment base
# One thread: more would change how sums are rounded and so, after some hundred steps, everything.
export JAX_PLATFORMS=cpu NPROC=1

"$PYTHON" launch/make_problems.py --corpus=64000 --drills=0.5 --seed=0 --output="$workdir/corpus"
"$PYTHON" launch/make_problems.py --train=800 --seed=1000 --output="$workdir/problems"
"$PYTHON" launch/train.py --config=configs/base_model.py --config.size=world --config.tokenizer="$workdir/corpus/tokenizer" \
  --config.data="$workdir/corpus/corpus.jsonl" --workdir="$workdir/run"
for step in $(ls "$workdir/run/checkpoints" | sort -n); do
  "$PYTHON" launch/convert.py --checkpoint="$workdir/run/checkpoints/$step" --dtype=float16 --output="$workdir/model-$step"
  "$PYTHON" launch/evaluate.py --config=configs/evaluate.py --config.model="$workdir/model-$step" \
    --config.problems="$workdir/problems/train.jsonl" --config.max_new_tokens=120 --workdir="$workdir/evaluation-$step"
  if "$PYTHON" - "$workdir/evaluation-$step/metrics.json" <<'PYTHON'; then
import json, sys
sys.exit(json.load(open(sys.argv[1]))["graders"]["reference"]["maj1@1"]["mean"] < 0.25)
PYTHON
    ln -sfn "model-$step" "$workdir/base_model"
    echo "done: $workdir/base_model, after step $step"
    exit
  fi
done
echo "error: no checkpoint in $workdir/run solves 25 %: train on more rows (--corpus in this script)" >&2
exit 1
