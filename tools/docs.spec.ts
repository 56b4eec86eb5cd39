import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = join(__dirname, '..');
const FOLDERS = ['apps', 'bench', 'deploy', 'docs', 'libs', 'models', 'test', 'tools'];
const BUILT = /(^|\/)(build[^/]*|node_modules|\.venv)\//;

const within = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path));
const files = [...readdirSync(ROOT), ...FOLDERS.flatMap(within)].filter((path) => !BUILT.test(path));
const pages = files.filter((path) => path.endsWith('.md'));
/** The pages that lead a reader into the code; the others quote files that users have, or that were. */
const GUIDES = ['docs/architecture.md', 'docs/protocols.md', 'docs/scheduling.md', 'HACKING.md', 'CONTRIBUTING.md'];

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const withoutCode = (text: string): string => text.replace(/```[\s\S]*?```/g, '').replace(/`[^`]*`/g, '');

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replace(/ /g, '-');
const anchorsOf = (path: string): string[] => [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));

describe.each(pages)('%s', (page) => {
  it('links to what exists', () => {
    const links = [...withoutCode(read(page)).matchAll(/\]\((?!https?:|mailto:)([^)\s]*)\)/g)].map(([, link = '']) => link);
    const isBroken = (link: string): boolean => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(ROOT, target))) return true;
      return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).includes(anchor);
    };
    expect(links.filter(isBroken)).toEqual([]);
  });

  it('has the lines of its tables whole: each row on a line of its own', () => {
    const lines = withoutCode(read(page)).split('\n');
    const isWrapped = (line: string): boolean => /\|\s*:?-{3,}/.test(line) && !/^\s*(> )?[|:\s-]+$/.test(line);
    expect(lines.filter(isWrapped)).toEqual([]);
  });
});

describe.each(GUIDES)('%s', (page) => {
  it('names source files and folders that exist', () => {
    const names = [...read(page).matchAll(/`([^`\s*<>]+)`/g)].map(([, name = '']) => name.replace(/^\.\//, '').replace(/\/$/, ''));
    const sources = names.filter((name) => /\.(ts|cc|h|cjs|sh)$/.test(name) || /^(apps|libs|test|bench|tools|deploy)\//.test(name));
    const exists = (name: string): boolean => /[…{]/.test(name) || files.some((path) => path === name || path.endsWith(`/${name}`));
    expect([...new Set(sources)].filter((name) => !exists(name))).toEqual([]);
  });
});
