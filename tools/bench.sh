#!/usr/bin/env bash
# Runs the benchmarks one after the other; each writes its results below bench/results.
#   bench.sh [NAME...]   default: all but those of bench/batch and bench/peers, which take long or need more than is installed
#   bench.sh peers [OPTION...]   options of dist/bench/peers/main.js
set -euo pipefail
cd "$(dirname "$0")/.."

if (($# == 0)); then
  mapfile -t names < <(cd dist/bench && ls -d */main.js | xargs -n 1 dirname | grep -vx peers)
  set -- "${names[@]}"
fi
if [[ $1 == peers ]]; then exec node dist/bench/peers/main.js "${@:2}"; fi
for name in "$@"; do
  printf '== bench %s\n' "$name"
  # batch/cpu talks to V8's inspector; Node.js has WebSocket without the flag since 22.
  node --experimental-websocket "dist/bench/$name/main.js"
done
