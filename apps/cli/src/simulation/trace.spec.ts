import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTrace } from './trace';

describe('readTrace', () => {
  const folder = mkdtempSync(join(tmpdir(), 'interleave-trace-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function write(...lines: string[]): string {
    const path = join(folder, 'trace.jsonl');
    writeFileSync(path, lines.join('\n'));
    return path;
  }

  it('reads requests and puts them in order of arrival', async () => {
    const path = write(
      '{"arrivalMs":2.5,"lengths":[3,4],"model":"b","priority":1}',
      '',
      '{"arrivalMs":1,"length":40,"rows":2,"timeoutMs":500,"model":"a"}',
    );
    expect(await readTrace(path)).toEqual({
      modelsCount: 2,
      items: [
        { arrivalNs: 1e6, model: 1, priority: 0, rows: 2, lengths: [40, 0], timeoutNs: 5e8 },
        { arrivalNs: 2.5e6, model: 0, priority: 1, rows: 1, lengths: [3, 4], timeoutNs: 0 },
      ],
    });
  });

  it('names the line at fault', async () => {
    await expect(readTrace(write('{"arrivalMs":1}', '{"arrivalMs":-1}'))).rejects.toThrow(/trace\.jsonl:2: arrivalMs/);
    await expect(readTrace(write('{"arrivalMs":1,"lenght":4}'))).rejects.toThrow(/trace\.jsonl:1: .*lenght/);
    await expect(readTrace(write('hello'))).rejects.toThrow(/trace\.jsonl:1: not JSON/);
  });

  it('says that a file is empty or missing', async () => {
    await expect(readTrace(write(''))).rejects.toThrow('is empty');
    await expect(readTrace(join(folder, 'none'))).rejects.toThrow('cannot be read');
  });
});
