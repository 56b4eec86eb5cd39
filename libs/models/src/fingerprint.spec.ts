import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fingerprint } from './fingerprint';

describe('Fingerprint', () => {
  let root: string;
  const write = (path: string, text: string): void => writeFileSync(join(root, path), text);
  const take = (): string => new Fingerprint().addFolder(root).digest();

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'fingerprint-'));
    mkdirSync(join(root, 'onnx'));
    write('onnx/model.onnx', 'graph');
    write('config.json', '{}');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const CHANGES: [string, () => void][] = [
    ['a file of another length', () => write('config.json', '{ }')],
    ['a file that was replaced by one of the same length and time', () => replaceQuietly()],
    ['a file below', () => write('onnx/model.onnx', 'other')],
    ['a new file', () => write('tokenizer.json', '')],
    ['a file with another name', () => renameSync(join(root, 'config.json'), join(root, 'config2.json'))],
    ['a link that leads elsewhere', () => symlinkSync('config.json', join(root, 'link.json'))],
  ];
  const replaceQuietly = (): void => {
    write('next.json', '[]');
    utimesSync(join(root, 'next.json'), 1, 1);
    renameSync(join(root, 'next.json'), join(root, 'config.json'));
  };

  it('stays while nothing changes', () => expect(take()).toBe(take()));
  it.each(CHANGES)('changes with %s', (_name, change) => {
    const before = take();
    change();
    expect(take()).not.toBe(before);
  });
  it('leaves out what it is told to, and hidden files', () => {
    const without = (): string => new Fingerprint().addFolder(root, (path) => path !== 'config.json').digest();
    const before = without();
    write('config.json', '{ "other": true }');
    write('.gitignore', 'x');
    expect(without()).toBe(before);
  });
});
