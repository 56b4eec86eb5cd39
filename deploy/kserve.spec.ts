import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { scanRepository } from '@app/models';
import { parse } from 'yaml';

interface Container {
  command: string[];
  args: string[];
  env: { name: string; value?: string }[];
}

const root = join(__dirname, '..');
const runtime = parse(readFileSync(join(root, 'deploy/kserve/clusterservingruntime.yaml'), 'utf8')) as {
  spec: { containers: [Container] };
};
const [container] = runtime.spec.containers;

describe('the runtime for KServe', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'il-kserve-'));
    mkdirSync(join(dir, 'mnt'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const inDir = (text: string): string => text.replaceAll(/\/(mnt|tmp)\//g, `${dir}/$1/`);
  /** Does all that the container does before the node starts. */
  function prepare(): NodeJS.ProcessEnv {
    const [program = '', ...options] = container.command;
    const script = container.args.join(' ').replace(/^exec node bin\/interleave\.js up$/m, 'exit 0');
    // As KServe fills them in.
    const env = Object.fromEntries(
      container.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, inDir(value).replace('{{.Name}}', 'my-model')]])),
    );
    execFileSync(program, [...options, inDir(script)], { env: { PATH: process.env['PATH'], ...env } });
    return env;
  }

  it.each([
    ['the files of a version', 'langid/1'],
    ['a folder of versions', 'langid'],
  ])('serves %s at the mount as a model of the name of the InferenceService', (_title, source) => {
    cpSync(join(root, 'models', source), join(dir, 'mnt/models'), { recursive: true });
    const config = loadConfig({ ...prepare(), DATA_DIR: join(dir, 'data') });
    expect(scanRepository(config.modelsDir)).toMatchObject([{ name: 'my-model', version: '1', reason: null }]);
    expect(config).toMatchObject({ access: { mode: 'open' }, http: { allowedHosts: ['*'] } });
  });

  it('starts again in a container that was restarted, and says what is wrong with a mount without a model', () => {
    mkdirSync(join(dir, 'mnt/models'));
    prepare();
    const { modelsDir } = loadConfig({ ...prepare(), DATA_DIR: join(dir, 'data') });
    expect(scanRepository(modelsDir)).toMatchObject([
      { name: 'my-model', reason: expect.stringMatching(/expected model\.onnx/) as string },
    ]);
  });
});
