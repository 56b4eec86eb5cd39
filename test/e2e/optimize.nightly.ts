import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { buildModels } from '../../tools/model-builder/src/models';

const CLI = resolve('bin/interleave.js');
const TEXTS = Array.from({ length: 60 }, (_, i) => `Text number ${i} ${'and some more words '.repeat(i % 7)}`);
const TIMEOUT_MS = 900_000;

interface Variants {
  choice: { kind: string };
  variants: { kind: string; note: string; measured: Measured | null }[];
}

interface Measured {
  rows: string;
  isMergedSafely: boolean;
  agreement: { cosineMin: number; flips: number } | null;
}

const root = mkdtempSync(join(tmpdir(), 'optimize-'));
/** Skipped, not passed, where the official tools cannot be installed from PyPI or a mirror of it. */
const canInstall =
  spawnSync('sh', [
    '-c',
    'python3 -c "import venv, ensurepip" && python3 -m pip download --quiet --no-deps --dest "$0" packaging==26.4',
    join(root, 'probe'),
  ]).status === 0;
const itWithTools = canInstall ? it : it.skip;

function optimize(...args: string[]): string {
  const env = { ...process.env, DATA_DIR: join(root, 'data'), MODELS_DIR: join(root, 'models') };
  return execFileSync(process.execPath, [CLI, 'optimize', ...args], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

const variantsOf = (folder: string): Variants => JSON.parse(readFileSync(join(folder, 'variants.json'), 'utf8')) as Variants;
const measuredOf = ({ variants }: Variants, kind: string): Measured => {
  const variant = variants.find((other) => other.kind === kind);
  if (!variant?.measured) throw new Error(`${kind}: ${variant?.note ?? 'none'}`);
  return variant.measured;
};

describe('interleave optimize', () => {
  beforeAll(() => {
    buildModels(join(root, 'models'), ['encoder-tiny', 'classifier']);
    writeFileSync(join(root, 'texts.jsonl'), TEXTS.map((text) => `${JSON.stringify(text)}\n`).join(''));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  itWithTools(
    'measures all variants of an encoder, and lets no rows share runs that change each other',
    () => {
      const out = join(root, 'out');
      optimize('encoder-tiny', '--calibration', join(root, 'texts.jsonl'), '--out', out, '--cosine-min', '0.9');
      const variants = variantsOf(out);
      expect(variants.variants.map(({ kind }) => kind).sort()).toEqual([
        'fp16',
        'graph',
        'int8-dynamic',
        'int8-static',
        'original',
        'transformers',
      ]);
      for (const { measured } of variants.variants) expect(measured?.isMergedSafely).toBe(true);
      expect(measuredOf(variants, 'int8-dynamic').rows).toMatch(/^alone/);
      expect(measuredOf(variants, 'graph').agreement).toMatchObject({ cosineMin: expect.closeTo(1, 4), flips: 0 });
    },
    TIMEOUT_MS,
  );

  itWithTools(
    'writes the choice as the next version, which can be served, or keeps the original',
    () => {
      const said = optimize('classifier', '--calibration', join(root, 'texts.jsonl'), '--flips-max', '32');
      const version = join(root, 'models/classifier/2');
      if (!existsSync(version)) {
        expect(said).toMatch(/choice: the original/);
        return;
      }
      const { choice } = variantsOf(version);
      expect(said).toMatch(`choice: ${choice.kind}`);
      if (choice.kind === 'int8-dynamic')
        expect(parse(readFileSync(join(version, 'model.yaml'), 'utf8'))).toMatchObject({ mergeRows: 'never' });
      const checked = execFileSync(process.execPath, [CLI, 'models', 'check', join(root, 'models'), '--json'], { encoding: 'utf8' });
      expect(JSON.parse(checked)).toMatchObject({ ok: true });
    },
    TIMEOUT_MS,
  );

  it('says what is missing where there is no Python', () => {
    const env = { PATH: '/nowhere', DATA_DIR: join(root, 'other'), MODELS_DIR: join(root, 'models') };
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'optimize', 'classifier'], { env, encoding: 'utf8' });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/there is no python3; .*apt-get install python3-venv/)]);
  });
});
