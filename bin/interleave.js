#!/usr/bin/env node
'use strict';
// The command line's entry: plain CommonJS that any Node can parse, so that an old one gets a message and not a stack.
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`interleave: Node.js ${process.versions.node} is too old; version 20.19 or newer is needed`);
  process.exit(1);
}
const main = join(__dirname, '..', 'dist', 'apps', 'cli', 'src', 'main.js');
if (!existsSync(main)) {
  console.error('interleave: not built yet; run `make build` in the folder of the project');
  process.exit(1);
}
require(main);
