#!/usr/bin/env bash
# Formats the C++ sources; with --check only says what is not formatted. Versions differ in what they write, so one is used.
# Exits with 77 where it is missing.
set -euo pipefail
cd "$(dirname "$0")/../libs/native"

VERSION=14

options=(-i)
if [[ ${1:-} == --check ]]; then options=(--dry-run -Werror); fi
for program in clang-format-$VERSION clang-format; do
  if "$program" --version 2>/dev/null | grep -q " version $VERSION\."; then
    find src test bench \( -name '*.cc' -o -name '*.h' \) -print0 | xargs -0 "$program" "${options[@]}"
    exit
  fi
done
echo "clang-format $VERSION is missing (Debian and Ubuntu: clang-format-$VERSION; PyPI: clang-format==$VERSION.0.6)"
exit 77
