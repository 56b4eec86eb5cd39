import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@app/telemetry';
import { holdListeningSocket } from './listening-socket';
import { PidFiles } from './pid-files';
import { portHolder } from './port-holder';
import { identityOf } from './proc-fs';

const HOST = '127.0.0.1';
const log = createLogger('test', 'fatal');

describe('the socket at which a node listens', () => {
  const runDir = mkdtempSync(join(tmpdir(), 'il-socket-'));
  const pidFiles = new PidFiles(runDir);
  let other: Server;
  let port: number;
  let child: ChildProcess | null = null;
  beforeEach(async () => {
    other = createServer().listen(0, HOST);
    await once(other, 'listening');
    ({ port } = other.address() as AddressInfo);
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    child = null;
    if (other.listening) await new Promise((resolve) => other.close(resolve));
  });
  afterAll(() => rmSync(runDir, { recursive: true, force: true }));
  const hold = (host = HOST): Promise<number> => holdListeningSocket({ host, port, setting: 'PORT' }, pidFiles, log);

  it('is refused with the pid and the name of who has it', async () => {
    await expect(hold()).rejects.toThrow(`PORT ${port} is in use by pid ${process.pid} (node); end it, or set PORT to another one`);
  });

  it('is refused for an address of another machine', async () => {
    await expect(hold('192.0.2.1')).rejects.toThrow(/this machine has no such address/);
  });

  it('keeps callers waiting while nobody accepts', async () => {
    await new Promise((resolve) => other.close(resolve));
    const fd = await hold();
    const caller = connect(port, HOST);
    await once(caller, 'connect');
    other = createServer((socket) => socket.end('answered')).listen({ fd });
    const [answer] = (await once(caller, 'data')) as [Buffer];
    expect(answer.toString()).toBe('answered');
  });

  it('is taken over from an API process that an earlier scheduler left', async () => {
    await new Promise((resolve) => other.close(resolve));
    const fd = await hold();
    child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    await once(child, 'spawn');
    closeSync(fd);
    const identity = identityOf(child.pid ?? 0);
    if (identity === null) throw new Error('the child has ended');
    expect(portHolder(port)).toMatchObject({ pid: child.pid, fd: 3 });
    await expect(hold()).rejects.toThrow(/is in use by pid/);

    pidFiles.write('api-1', identity, 'a fingerprint');
    const taken = await hold();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const caller = connect(port, HOST);
    await once(caller, 'connect');
    caller.destroy();
    closeSync(taken);
    expect(portHolder(port)).toBeNull();
  });
});
