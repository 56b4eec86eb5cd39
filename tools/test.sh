#!/usr/bin/env bash
# Runs every test of a built tree, all of them even when one fails, and ends with the sum: "N passed, N failed, N skipped".
# Expects what `tools/setup.sh --tests` and `make build` leave behind.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
skipped=0
summary=()
ctest_results=libs/native/build/Testing/Temporary/LastTest.log
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COUNTER COMMAND...: runs the command, shows its output, adds what COUNTER finds in it to the sums.
# A command that cannot run here exits with 77 and says why.
step() {
  local name=$1 counter=$2
  shift 2
  local began=$SECONDS
  printf '\n== %s\n' "$name"
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} step_passed=0 step_failed=0 step_skipped=0
  "$counter"
  # A step that failed without a failed test (it did not even start) is one failure.
  if ((status != 0 && status != 77 && step_failed == 0)); then step_failed=1; fi
  passed=$((passed + step_passed))
  failed=$((failed + step_failed))
  skipped=$((skipped + step_skipped))
  summary+=("$(printf '%-18s %5d passed %4d failed %4d skipped %5d s' "$name" "$step_passed" "$step_failed" "$step_skipped" $((SECONDS - began)))")
}

count_step() {
  case $status in
    0) step_passed=1 ;;
    77) step_skipped=1 ;;
  esac
}

# Debug output of a test may look like a summary, so the last summary line counts.
count_jest() {
  local line
  line=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^Tests: .* total' | tail -n 1)
  step_passed=$(number_before passed "$line")
  step_failed=$(number_before failed "$line")
  step_skipped=$(number_before skipped "$line")
}

# CTest counts programs, and one whose tests were all skipped as passed; GoogleTest's own summaries count tests. A program that
# died has none and is one failure.
count_ctest() {
  local programs
  step_passed=$(gtest_sum PASSED)
  step_failed=$(gtest_sum FAILED)
  step_skipped=$(gtest_sum SKIPPED)
  programs=$(number_before 'tests failed out of' "$(grep -E 'tests failed out of' "$log" | tail -n 1)")
  if ((step_failed < programs)); then step_failed=$programs; fi
}

gtest_sum() { sed -nE "s/^\[ +$1 +\] ([0-9]+) tests?[.,].*/\1/p" "$ctest_results" | awk '{ sum += $1 } END { print sum + 0 }'; }

number_before() {
  local number
  number=$(sed -nE "s/.*(^|[^0-9])([0-9]+) $1.*/\2/p" <<<"$2")
  echo "${number:-0}"
}

# The compiler works beside what needs one CPU only.
build_log=$(mktemp)
trap 'rm -f "$log" "$build_log"' EXIT
bash libs/native/build.sh --tests >"$build_log" 2>&1 &
build=$!
built=0
report_build() {
  cat "$build_log"
  return "$built"
}

step 'types and lint' count_step npm run --silent lint
step 'C++ formatting' count_step tools/clang-format.sh --check
wait "$build" || built=$?
step 'C++ build' count_step report_build
rm -f "$ctest_results"
step 'C++ tests' count_ctest ctest --test-dir libs/native/build --output-on-failure -j "$(nproc)"
# Many specs wait more than they compute.
step 'unit tests' count_jest node_modules/.bin/jest --config jest.config.cjs --selectProjects unit --maxWorkers 4
step 'end-to-end tests' count_jest node_modules/.bin/jest --config jest.config.cjs --selectProjects e2e --maxWorkers 2

printf '\n'
printf '%s\n' "${summary[@]}"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
