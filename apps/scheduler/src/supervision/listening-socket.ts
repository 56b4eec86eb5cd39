import type { Config } from '@app/config';
import { copyDescriptor, openListeningSocket, type SocketError } from '@app/native';
import type { Logger } from '@app/telemetry';
import type { PidFiles } from './pid-files';
import { portHolder, type PortHolder } from './port-holder';
import { endProcess } from './process-handle';

/** Where API processes find the sockets; see `ProcessSpec.inheritedFds`. */
export const LISTEN_FD = 3;
export const GRPC_LISTEN_FD = 4;

/** Descriptors of the sockets on which API processes accept. */
export interface ListeningSockets {
  http: number;
  grpc: number;
}

/** Where to listen, and the setting that says the port. */
interface Listening {
  host: string;
  port: number;
  setting: 'PORT' | 'GRPC_PORT';
}

export async function holdListeningSockets(
  { host, port, grpcPort }: Pick<Config, 'host' | 'port' | 'grpcPort'>,
  pidFiles: PidFiles,
  log: Logger,
): Promise<ListeningSockets> {
  return {
    http: await holdListeningSocket({ host, port, setting: 'PORT' }, pidFiles, log),
    grpc: await holdListeningSocket({ host, port: grpcPort, setting: 'GRPC_PORT' }, pidFiles, log),
  };
}

/**
 * The socket at a host and a port on which API processes accept. This process keeps it open, so callers wait instead of being
 * refused while one API process dies and another takes over. One that an API process of an earlier scheduler still has is
 * taken over. Rejects when it cannot be had, naming who has it.
 */
export async function holdListeningSocket({ host, port, setting }: Listening, pidFiles: PidFiles, log: Logger): Promise<number> {
  try {
    return await openListeningSocket(host, port);
  } catch (error) {
    const { code, message } = error as SocketError;
    if (code !== 'EADDRINUSE') throw new Error(`HOST ${host}, ${setting} ${port}: ${REMEDIES[code] ?? message}`, { cause: error });
  }
  const holder = portHolder(port);
  if (holder === null || !isOurs(holder, pidFiles))
    throw new Error(`${setting} ${port} is in use${nameOf(holder)}; end it, or set ${setting} to another one`);
  try {
    return copyDescriptor(holder.pid, holder.fd);
  } catch (error) {
    log.warn({ err: error }, 'cannot take over the socket of the running API; restarting the API');
  }
  await endAll(pidFiles);
  return openListeningSocket(host, port);
}

const REMEDIES: Record<string, string | undefined> = {
  EACCES: 'this user may not listen there; ports below 1024 need CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'this machine has no such address; set HOST to one that it has',
  ENOTFOUND: 'the name is not known; set HOST to an address of this machine',
  EAI_AGAIN: 'the name cannot be looked up now; set HOST to an address of this machine',
};

const isApi = (id: string): boolean => id.startsWith('api-');

function isOurs({ pid }: PortHolder, pidFiles: PidFiles): boolean {
  return pidFiles.running().some((record) => isApi(record.id) && record.pid === pid);
}

async function endAll(pidFiles: PidFiles): Promise<void> {
  await Promise.all(
    pidFiles
      .running()
      .filter(({ id }) => isApi(id))
      .map((record) => endProcess(record)),
  );
}

function nameOf(holder: PortHolder | null): string {
  return holder === null ? '' : ` by pid ${holder.pid} (${holder.command})`;
}
