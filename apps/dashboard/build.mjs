// Bundles the page into dist/apps/dashboard: index.html, and assets whose names change with their content. `npm run build` calls it.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '..', '..', 'dist', 'apps', 'dashboard');

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  metafile: true,
  target: 'es2022',
  outdir: join(out, 'assets'),
  entryNames: '[name]-[hash]',
  legalComments: 'none',
};
const results = await Promise.all([
  build({ ...common, entryPoints: ['src/main.tsx'], format: 'esm', jsx: 'automatic', jsxImportSource: 'preact' }),
  // Not a module: it runs before the first paint.
  build({ ...common, entryPoints: ['src/first-paint.ts'], format: 'iife' }),
]);

const names = results.flatMap(({ metafile }) => Object.keys(metafile.outputs).map((path) => basename(path)));
const nameOf = (pattern) => {
  const name = names.find((each) => pattern.test(each));
  if (name === undefined) throw new Error(`expected an output like ${pattern} but there are ${names.join(', ')}`);
  return `/dashboard/assets/${name}`;
};
const page = readFileSync(join(here, 'src', 'index.html'), 'utf8')
  .replace('{{main.js}}', nameOf(/^main-.*\.js$/))
  .replace('{{main.css}}', nameOf(/^main-.*\.css$/))
  .replace('{{first-paint.js}}', nameOf(/^first-paint-.*\.js$/));
writeFileSync(join(out, 'index.html'), page);
