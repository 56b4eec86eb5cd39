#!/usr/bin/env bash
# Runs the unit tests with coverage and prints one line. Not in `make test`: with it they take more than twice as long.
set -euo pipefail
cd "$(dirname "$0")/.."

node_modules/.bin/jest --config jest.config.cjs --selectProjects unit --coverage
node -p "const { total } = require('./coverage/coverage-summary.json');
  'coverage of apps and libs by unit tests: ' +
    ['statements', 'branches', 'functions', 'lines'].map((kind) => kind + ' ' + total[kind].pct + ' %').join(', ')"
