#!/usr/bin/env bash
# Sets up the environment if needed, fetches three models' tokenizers and a model, then runs lint, type checks and tests.
# `launch/test.sh quick` skips the slow tests and the model; further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh
setup_environment dev
launch/fetch_tokenizers.sh 2>/dev/null || echo "could not fetch the models' tokenizers: tests that need them are skipped"
select=()
if [ "${1:-}" = quick ]; then
  select=(-m "not slow")
  shift
else
  launch/real_model.sh 2>/dev/null || echo "could not make the pretrained model: tests that need it are skipped"
fi
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
exec "$PYTHON" -m pytest "${select[@]}" "$@"
