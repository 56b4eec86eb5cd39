#!/usr/bin/env node
'use strict';
// health.cjs <process> [--ready]: exit code 0 when the process of that name answers on its socket in RUN_DIR and, with --ready, takes
// requests. For health checks inside a container: a Unix socket asks for no TLS, no certificate and no key.
const { get } = require('node:http');
const { join } = require('node:path');

const ANSWER_MS_MAX = 2000;
const [name = 'api', option] = process.argv.slice(2);
const socketPath = join(process.env.RUN_DIR ?? '/run/interleave', `${name}.status.sock`);

function end(reason) {
  if (reason !== null) console.error(`${name}: ${reason}`);
  process.exit(reason === null ? 0 : 1);
}

function whyNotReady(text) {
  const { missing } = JSON.parse(text);
  return missing === null ? null : String(missing);
}

setTimeout(() => end(`no answer within ${ANSWER_MS_MAX} ms`), ANSWER_MS_MAX);
get({ socketPath, path: '/status' }, async (answer) => {
  const text = Buffer.concat(await answer.toArray()).toString();
  if (answer.statusCode !== 200) end(`status ${answer.statusCode}`);
  end(option === '--ready' ? whyNotReady(text) : null);
}).on('error', (error) => end(error.message));
process.on('uncaughtException', (error) => end(error.message)).on('unhandledRejection', (error) => end(String(error)));
