#!/usr/bin/env bash
# Builds libs/native incrementally; installs and downloads nothing.
#   build.sh                      the addon: build/interleave_native.node
#   build.sh --tests              the addon and the C++ tests (then: ctest --test-dir libs/native/build)
#   build.sh --sanitize=address   C++ tests with ASan and UBSan in build-asan/
#   build.sh --sanitize=thread    C++ tests with TSan in build-tsan/
# JOBS sets the number of parallel compilers (default 2).
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-}" in
  "") dir=build options=() ;;
  --tests) dir=build options=(-DINTERLEAVE_TESTS=ON) ;;
  --sanitize=address) dir=build-asan options=(-DINTERLEAVE_TESTS=ON -DINTERLEAVE_ADDON=OFF -DINTERLEAVE_SANITIZE=address) ;;
  --sanitize=thread) dir=build-tsan options=(-DINTERLEAVE_TESTS=ON -DINTERLEAVE_ADDON=OFF -DINTERLEAVE_SANITIZE=thread) ;;
  *) sed -n 's/^#  /usage:/p' "$0" >&2; exit 2 ;;
esac

# CMake leaves a cache even when it fails, a Makefile only when it succeeds.
if [[ ! -f $dir/Makefile || ${#options[@]} -gt 0 ]]; then
  cmake -S . -B "$dir" "${options[@]}" >"/dev/null"
fi
cmake --build "$dir" -j "${JOBS:-2}" -- --no-print-directory -s
