#!/usr/bin/env bash
# Runs every test of a built tree, all of them even when one fails, and ends with the sum: "N passed, N failed".
# Expects what `tools/setup.sh --tests` and `make build` leave behind.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COUNTER COMMAND...: runs the command, shows its output, adds what COUNTER finds in it to the sums.
step() {
  local name=$1 counter=$2
  shift 2
  printf '\n== %s\n' "$name"
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} step_passed=0 step_failed=0
  "$counter"
  # A step that failed without a failed test (it did not even start) is one failure.
  if ((status != 0 && step_failed == 0)); then step_failed=1; fi
  passed=$((passed + step_passed))
  failed=$((failed + step_failed))
}

count_step() { if ((status == 0)); then step_passed=1; fi; }

# Debug output of a test may look like a summary, so the last summary line counts.
count_jest() {
  local line
  line=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^Tests: .* total' | tail -n 1)
  step_passed=$(number_before passed "$line")
  step_failed=$(number_before failed "$line")
}

count_ctest() {
  local line total
  line=$(grep -E 'tests passed, [0-9]+ tests failed out of' "$log" | tail -n 1)
  step_failed=$(number_before 'tests failed' "$line")
  total=$(sed -nE 's/.* out of ([0-9]+).*/\1/p' <<<"$line")
  step_passed=$((${total:-0} - step_failed))
}

number_before() {
  local number
  number=$(sed -nE "s/.*(^|[^0-9])([0-9]+) $1.*/\2/p" <<<"$2")
  echo "${number:-0}"
}

step 'types' count_step npm run --silent typecheck
step 'lint' count_step npm run --silent lint
step 'C++ build' count_step bash libs/native/build.sh --tests
step 'C++ tests' count_ctest ctest --test-dir libs/native/build --output-on-failure -j "$(nproc)"
step 'unit tests' count_jest node_modules/.bin/jest --config jest.config.cjs --selectProjects unit
step 'end-to-end tests' count_jest node_modules/.bin/jest --config jest.config.cjs --selectProjects e2e --runInBand

printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
