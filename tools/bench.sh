#!/usr/bin/env bash
# Runs the benchmarks one after the other; each writes its results below bench/results.
#   bench.sh [NAME...]   default: all
set -euo pipefail
cd "$(dirname "$0")/.."

if (($# == 0)); then
  mapfile -t names < <(cd dist/bench && ls -d */main.js */*/main.js | xargs -n 1 dirname)
  set -- "${names[@]}"
fi
for name in "$@"; do
  printf '== bench %s\n' "$name"
  node "dist/bench/$name/main.js"
done
