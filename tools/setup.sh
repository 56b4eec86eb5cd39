#!/usr/bin/env bash
# Makes a bare Debian or Ubuntu machine ready: checks Node, installs missing system packages, installs npm packages.
#   setup.sh           what running needs
#   setup.sh --tests   what the tests need as well
# System packages are installed only as root; otherwise the line to run is printed. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

NODE_VERSION_MIN=20.19.0

main() {
  check_node
  install_system_packages "$@"
  if [[ ${1:-} == --tests ]]; then
    install_optional clang-format-14
    install_optional docker-registry
    install_s3_server
  fi
  install_npm_packages
}

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

check_node() {
  command -v node >/dev/null || fail "Node.js is missing; version $NODE_VERSION_MIN or newer is needed (https://nodejs.org/en/download)"
  local version
  version=$(node -p process.versions.node)
  [[ $(printf '%s\n' "$NODE_VERSION_MIN" "$version" | sort -V | head -n 1) == "$NODE_VERSION_MIN" ]] ||
    fail "Node.js $version is too old; version $NODE_VERSION_MIN or newer is needed (https://nodejs.org/en/download)"
  command -v npm >/dev/null || fail "npm is missing; it comes with Node.js (https://nodejs.org/en/download)"
}

# Prints the Debian packages whose commands or files are not here.
missing_packages() {
  command -v cmake >/dev/null || echo cmake
  command -v g++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
  command -v redis-server >/dev/null || command -v valkey-server >/dev/null || [[ -n ${REDIS_URL:-} ]] || echo redis-server
  command -v flock >/dev/null || echo util-linux
  if [[ ${1:-} == --tests ]]; then
    [[ -e /usr/include/gtest/gtest.h ]] || echo libgtest-dev
    command -v openssl >/dev/null || echo openssl
    command -v redis-server >/dev/null || command -v valkey-server >/dev/null || echo redis-server
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  fi
}

install_system_packages() {
  local packages
  mapfile -t packages < <(missing_packages "$@" | sort -u)
  ((${#packages[@]} > 0)) || return 0
  command -v apt-get >/dev/null ||
    fail "missing: ${packages[*]} (Debian package names); install them with this system's package manager"
  ((EUID == 0)) || fail "missing system packages; run:  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
  echo "setup: installing ${packages[*]}"
  apt-get update -qq
  without_starting_services apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  # The scheduler runs a Redis of its own; the system's service, which nobody asked for, stays off.
  if [[ " ${packages[*]} " == *" redis-server "* && -d /run/systemd/system ]]; then systemctl disable --quiet redis-server; fi
}

# A package whose program has its name, and that not every release has: what needs it counts as skipped without it.
install_optional() {
  command -v "$1" >/dev/null && return
  if ! command -v apt-get >/dev/null || ((EUID != 0)); then return 0; fi
  echo "setup: installing $1"
  local install=(without_starting_services apt-get install -y -qq --no-install-recommends "$1")
  { "${install[@]}" || { apt-get update -qq && "${install[@]}"; }; } >/dev/null 2>&1 || echo "setup: $1 cannot be installed here"
  if [[ $1 == docker-registry && -d /run/systemd/system ]]; then systemctl disable --quiet docker-registry || true; fi
}

# A server that speaks S3, once per requirements.txt; without it the tests of a store in a bucket count as skipped.
install_s3_server() {
  local folder=tools/s3-server sum
  local venv=$folder/.venv
  sum=$(sha256sum <"$folder/requirements.txt")
  [[ -f $venv/.requirements.sha256 && $(<"$venv/.requirements.sha256") == "$sum" ]] && return 0
  echo 'setup: installing a server that speaks S3'
  if python3 -m venv --clear "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check --only-binary :all: -r "$folder/requirements.txt"; then
    printf '%s\n' "$sum" >"$venv/.requirements.sha256"
  else
    rm -rf "$venv"
    echo 'setup: it cannot be installed here'
  fi
}

# Runs a command while Debian's policy hook forbids starting services; a hook that is already there is respected.
without_starting_services() {
  local policy=/usr/sbin/policy-rc.d
  if [[ -e $policy ]]; then
    DEBIAN_FRONTEND=noninteractive "$@"
    return
  fi
  trap "rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  DEBIAN_FRONTEND=noninteractive "$@"
  rm -f "$policy"
  trap - EXIT
}

# `npm ci` once per package-lock.json. A linked node_modules belongs to another checkout and is left alone.
install_npm_packages() {
  [[ ! -L node_modules ]] || return 0
  local stamp=node_modules/.package-lock.sha256 sum
  sum=$(sha256sum package-lock.json)
  [[ -f $stamp && $(<"$stamp") == "$sum" ]] && return 0
  echo 'setup: npm ci'
  npm ci --no-audit --no-fund --loglevel=error
  printf '%s\n' "$sum" >"$stamp"
}

main "$@"
