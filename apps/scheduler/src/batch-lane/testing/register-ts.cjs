// Lets a child process of a test run TypeScript: `node --require <this> file.ts`. Same compiler and aliases as the tests.
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const { join, resolve } = require('node:path');
const { transformSync } = require('@swc/core');

const root = resolve(__dirname, '../../../../..');
const resolveFilename = Module._resolveFilename;

Module._resolveFilename = function (request, ...rest) {
  const [, library] = /^@app\/([a-z]+)$/.exec(request) ?? [];
  const path = library === undefined ? request : join(root, 'libs', library, library === 'native' ? 'lib' : 'src', 'index.ts');
  return resolveFilename.call(this, path, ...rest);
};

Module._extensions['.ts'] = (module, filename) => {
  const { code } = transformSync(readFileSync(filename, 'utf8'), {
    filename,
    swcrc: false,
    jsc: { target: 'es2022', parser: { syntax: 'typescript', decorators: true }, transform: { legacyDecorator: true, decoratorMetadata: true } },
    module: { type: 'commonjs' },
    sourceMaps: 'inline',
  });
  module._compile(code, filename);
};
