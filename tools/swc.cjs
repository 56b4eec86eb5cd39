/** How TypeScript is translated, for the build, for tests and for the processes that tests start. Aliases become relative paths. */
const { resolve } = require('node:path');

module.exports = {
  swcrc: false,
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    baseUrl: resolve(__dirname, '..'),
    paths: { '@app/native': ['./libs/native/lib'], '@app/*': ['./libs/*/src'] },
  },
  module: { type: 'commonjs' },
};
