// Translates the TypeScript of the product, the benches and the tools into dist (by tools/swc.cjs), and copies what it reads beside it.
// Types are not looked at: that is `npm run lint`. `npm run build` calls this.
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformFile } from '@swc/core';
import swc from './swc.cjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const FOLDERS = ['apps', 'libs', 'bench', 'tools', 'test/support', 'test/fixtures'];
const LEFT_OUT =
  /(^|\/)node_modules\/|^apps\/dashboard\/|^libs\/native\/build|^tools\/(checks|s3-server)\/|\.d\.ts$|\.(spec|fixture|e2e|nightly)\.ts$/;
const ASSETS = /\.proto$|^apps\/cli\/src\/(optimize\/python\/|split\/.*\.cjs$)/;

process.chdir(root);
rmSync('dist', { recursive: true, force: true });
const files = FOLDERS.flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((path) => !LEFT_OUT.test(path));
await Promise.all(
  files.map(async (path) => {
    const isSource = path.endsWith('.ts');
    if (!isSource && !ASSETS.test(path)) return;
    const target = join('dist', path);
    mkdirSync(dirname(target), { recursive: true });
    if (!isSource) return copyFileSync(path, target);
    const script = target.replace(/\.ts$/, '.js');
    const { code, map } = await transformFile(path, { ...swc, sourceMaps: true, sourceFileName: relative(dirname(target), path) });
    writeFileSync(script, `${code}\n//# sourceMappingURL=${basename(script)}.map\n`);
    writeFileSync(`${script}.map`, map);
  }),
);
