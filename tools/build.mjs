// Translates the TypeScript of the product, the benches and the tools into dist (by tools/swc.cjs), copies what it reads beside it, and
// bundles the programs of a node. Types are not looked at: that is `npm run lint`. `npm run build` calls this.
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformFile } from '@swc/core';
import { build } from 'esbuild';
import swc from './swc.cjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const FOLDERS = ['apps', 'libs', 'bench', 'tools', 'test/support', 'test/fixtures'];
const LEFT_OUT =
  /(^|\/)node_modules\/|^apps\/dashboard\/|^libs\/native\/build|^tools\/(checks|s3-server)\/|\.d\.ts$|\.(spec|fixture|e2e|nightly)\.ts$/;
const ASSETS = /\.proto$|^apps\/cli\/src\/(optimize\/python\/|split\/.*\.cjs$)/;
/** All lie equally deep in dist. */
const PROGRAMS = ['api', 'runner', 'scheduler', 'worker'].map((app) => `apps/${app}/src/main.ts`);

process.chdir(root);
rmSync('dist', { recursive: true, force: true });
await translate();
await bundle();

async function translate() {
  const files = FOLDERS.flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !LEFT_OUT.test(path) && (path.endsWith('.ts') || ASSETS.test(path)));
  for (const folder of new Set(files.map(dirname))) mkdirSync(join('dist', folder), { recursive: true });
  await Promise.all(
    files.map(async (path) => {
      const target = join('dist', path);
      if (!path.endsWith('.ts')) return copyFileSync(path, target);
      const script = target.replace(/\.ts$/, '.js');
      const { code, map } = await transformFile(path, { ...swc, sourceMaps: true, sourceFileName: relative(dirname(target), path) });
      writeFileSync(script, `${code}\n//# sourceMappingURL=${basename(script)}.map\n`);
      writeFileSync(`${script}.map`, map);
    }),
  );
}

/** A program in one file starts sooner than one in hundreds, and its modules call each other directly. */
function bundle() {
  const translateModule = {
    name: 'swc',
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const { code } = await transformFile(path, { ...swc, module: { type: 'es6' }, sourceMaps: 'inline' });
        const folder = `require('node:path').join(__dirname, '../../..', '${relative(root, dirname(path))}')`;
        return { contents: code.replaceAll('__dirname', folder), loader: 'js' };
      }),
  };
  return build({
    entryPoints: PROGRAMS,
    outbase: '.',
    outdir: 'dist',
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
    plugins: [translateModule],
  });
}
