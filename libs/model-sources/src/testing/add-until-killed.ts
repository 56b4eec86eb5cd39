import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { addModel } from '../add-model';
import { SOURCE_LIMITS } from '../limits';

/** A process that fetches from a server which never ends its answer, says so, and is killed: `add-until-killed.ts <MODELS_DIR>`. */
function main(): void {
  const server = createServer((_request, response) => {
    response.writeHead(200);
    response.write('{');
    process.send?.('asked');
  });
  server.listen(0, '127.0.0.1', () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const progress = { begin: () => undefined, bytes: () => undefined, end: () => undefined };
    const settings = { hub: { url, token: null }, bucketEndpoint: null, registryAuthFile: '/nowhere' };
    void addModel({ uri: 'hf://acme/slow' }, { modelsDir: process.argv[2] ?? '', settings, limits: SOURCE_LIMITS, progress });
  });
}

main();
