#!/usr/bin/env bash
# Builds libs/native incrementally; installs and downloads nothing.
#   build.sh                      the addon: build/interleave_native.node, by cmake-js
#   build.sh --tests              the addon and the C++ tests (then: ctest --test-dir libs/native/build)
#   build.sh --sanitize=address   C++ tests with ASan and UBSan in build-asan/, without the addon
#   build.sh --sanitize=thread    C++ tests with TSan in build-tsan/, without the addon
# JOBS sets the number of parallel compilers (default 2).
set -euo pipefail
cd "$(dirname "$0")"

build_addon() {
  # A folder that cmake-js did not configure to the end is of no use to it.
  if [[ -e build ]] && ! { [[ -f build/Makefile ]] && grep -q '^CMAKE_JS_INC' build/CMakeCache.txt; }; then rm -rf build; fi
  ../../node_modules/.bin/cmake-js build --directory . --config RelWithDebInfo --prefer-make --parallel "${JOBS:-2}" --log-level warn
}

# build_tests FOLDER OPTION...
build_tests() {
  local folder=$1
  shift
  cmake -S . -B "$folder" -DINTERLEAVE_TESTS=ON "$@" >/dev/null
  cmake --build "$folder" -j "${JOBS:-2}" -- --no-print-directory -s
}

case "${1:-}" in
  "") build_addon ;;
  --tests) build_addon && build_tests build ;;
  --sanitize=address) build_tests build-asan -DINTERLEAVE_ADDON=OFF -DINTERLEAVE_SANITIZE=address ;;
  --sanitize=thread) build_tests build-tsan -DINTERLEAVE_ADDON=OFF -DINTERLEAVE_SANITIZE=thread ;;
  *) sed -n 's/^#  /usage:/p' "$0" >&2; exit 2 ;;
esac
