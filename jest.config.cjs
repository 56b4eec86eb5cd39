const swc = require('./tools/swc.cjs');

const shared = {
  rootDir: __dirname,
  testEnvironment: '<rootDir>/tools/jest/one-realm-environment.cjs',
  runtime: '<rootDir>/tools/jest/shared-packages-runtime.cjs',
  transform: { '^.+\\.ts$': ['@swc/jest', swc] },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/data/'],
};

/**
 * `unit`: specs beside the code. `e2e`: whole processes with real Redis, two files at a time. `nightly`: files of either kind that take
 * longer than 20 to 25 s, `make nightly`. `load`: minutes each, `make load`. `gpu`: `make gpu-check`.
 */
module.exports = {
  testTimeout: 60_000,
  // With --coverage only, `make coverage`. End-to-end tests run in processes of their own and do not count.
  coverageProvider: 'v8',
  coverageReporters: ['json-summary'],
  coverageDirectory: '<rootDir>/coverage',
  collectCoverageFrom: ['{apps,libs}/**/*.ts', '!**/*.{spec,fixture,nightly}.ts', '!**/testing/**'],
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/{apps,bench,deploy,libs,tools}/**/*.spec.ts'] },
    { ...shared, displayName: 'load', testMatch: ['<rootDir>/test/**/*.load.ts'] },
    { ...shared, displayName: 'gpu', testMatch: ['<rootDir>/test/**/*.gpu.ts'] },
    { ...shared, displayName: 'e2e', testMatch: ['<rootDir>/test/**/*.e2e.ts'] },
    { ...shared, displayName: 'nightly', testMatch: ['<rootDir>/{apps,libs,test}/**/*.nightly.ts'] },
  ],
};
