#!/usr/bin/env bash
# Makes this checkout's virtual environment from the lock files. Sourced by the other scripts here:
#   setup_environment base   for runs
#   setup_environment dev    for runs and tests
# Sets PYTHON to the environment's interpreter. Returns at once if the lock files have not changed.

supported_python() {
  local candidate
  for candidate in ${RFT_PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  echo "error: found no Python 3.11, 3.12 or 3.13 with venv; install one (on Debian also python3-venv), or set RFT_PYTHON to one" >&2
  return 1
}

setup_environment() {
  local kind=$1 folder base stamp
  base=$(supported_python) || return 1
  folder=$PWD/.venv-$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  PYTHON=$folder/bin/python
  stamp=$(cat launch/locked/*.txt pyproject.toml | cksum)
  # An environment for tests also has everything a run needs.
  for made in "$kind" dev; do
    [ "$(cat "$folder/made-for-$made" 2>/dev/null)" = "$stamp" ] && return
  done
  echo "setting up $folder ($kind) …"
  local install=("$PYTHON" -m pip install -qq --disable-pip-version-check --no-deps)
  [ -x "$PYTHON" ] || "$base" -m venv "$folder" || return 1
  "${install[@]}" --require-hashes -r "launch/locked/$kind.txt" || return 1
  if [ "$kind" = dev ]; then
    "${install[@]}" --require-hashes -r launch/locked/torch-cpu.txt 2>/dev/null ||
      { echo "found no CPU build of torch: downloading the default one" &&
        "${install[@]}" --require-hashes -r launch/locked/torch.txt; } || return 1
  fi
  # A path file rather than `pip install -e`, which would fetch a build backend that is not in the lock file.
  echo "$PWD" >"$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rft_jax_checkout.pth" || return 1
  echo "$stamp" >"$folder/made-for-$kind"
}
