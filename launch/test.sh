#!/usr/bin/env bash
# Sets up the environment if need be, then: lint, types, tests. `launch/test.sh quick` leaves out the slow tests;
# further arguments go to pytest. Fetches three models' tokenizers before.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh
setup_environment dev
launch/fetch_tokenizers.sh 2>/dev/null || echo "the models' tokenizers could not be fetched: tests that need them skip"
select=()
if [ "${1:-}" = quick ]; then
  select=(-m "not slow")
  shift
fi
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
exec "$PYTHON" -m pytest "${select[@]}" "$@"
