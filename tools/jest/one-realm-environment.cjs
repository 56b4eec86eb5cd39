const vm = require('node:vm');
const { ModernFakeTimers } = require('@jest/fake-timers');
const { ModuleMocker } = require('jest-mock');
const { TestEnvironment } = require('jest-environment-node');

const contextsOfThisRealm = new WeakSet();
const { compileFunction } = vm;
/** Jest compiles every module of a test for a context of its own. For contexts of this environment it is the context of the worker. */
vm.compileFunction = (code, parameters, options) =>
  compileFunction(code, parameters, contextsOfThisRealm.has(options?.parsingContext) ? { ...options, parsingContext: undefined } : options);

/**
 * Runs the test files of a worker in one realm, the worker's: `Error`, `Array` and the like are those of the packages that the files
 * share (`shared-packages-runtime.cjs`), so `instanceof` tells the truth. After each file, spies are gone, and globals, environment
 * variables, exit code and current directory are what they were before it.
 */
module.exports = class OneRealmEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    contextsOfThisRealm.add(this.context);
    this.global = globalThis;
    this.moduleMocker = new ModuleMocker(globalThis);
    this.fakeTimersModern = new ModernFakeTimers({ config: config.projectConfig, global: globalThis });
    const { env, exit, exitCode } = process;
    this.before = { globals: Object.getOwnPropertyDescriptors(globalThis), env: { ...env }, exit, exitCode, folder: process.cwd() };
  }

  async teardown() {
    this.moduleMocker.restoreAllMocks();
    await super.teardown();
    const { globals } = this.before;
    for (const key of Reflect.ownKeys(globalThis)) {
      if (!Object.hasOwn(globals, key)) Reflect.deleteProperty(globalThis, key);
      else if ('value' in globals[key] && globalThis[key] !== globals[key].value) Reflect.defineProperty(globalThis, key, globals[key]);
    }
    for (const name of Object.keys(process.env)) if (!(name in this.before.env)) delete process.env[name];
    Object.assign(process.env, this.before.env);
    // Jest wraps it once for each file.
    process.exit = this.before.exit;
    process.exitCode = this.before.exitCode;
    if (process.cwd() !== this.before.folder) process.chdir(this.before.folder);
  }
};
