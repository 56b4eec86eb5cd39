import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { addBatchCommands } from './batch';

describe('batch download', () => {
  const before = process.cwd();
  const folder = mkdtempSync(join(tmpdir(), 'il-download-'));
  let server: Server;
  afterEach(() => {
    process.chdir(before);
    server.close();
    rmSync(folder, { recursive: true });
  });

  it('names the file by the format of the output', async () => {
    const answers: Record<string, string> = {
      '/v1/batches/batch_1': JSON.stringify({ id: 'batch_1', status: 'completed', output_file_id: 'file_1', error_file_id: null }),
      '/v1/files/file_1': JSON.stringify({ id: 'file_1', filename: 'batch_1_output.parquet' }),
      '/v1/files/file_1/content': 'PAR1',
    };
    server = createServer((request, response) => response.end(answers[request.url ?? '']));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    process.chdir(folder);
    const program = new Command();
    addBatchCommands(program);
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await program.parseAsync(['batch', 'download', 'batch_1', '--url', url], { from: 'user' });
    expect(readdirSync(folder)).toEqual(['batch_1.output.parquet']);
  });
});
