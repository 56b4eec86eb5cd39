import type { Command } from 'commander';
import { envoyYaml, type EnvoyAddress } from '@app/config';
import { CliError } from '../cli-error';

interface Options {
  nodes: string;
  listen: string;
  port: string;
  grpcPort: string;
  adminPort: string;
}

const NODES_MAX = 64;
const NODE = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]{1,253})):(\d{1,5})$/;

export function addEnvoyConfigCommand(program: Command): void {
  program
    .command('envoy-config')
    .description('prints a configuration of Envoy that spreads requests over the fleet of these nodes')
    .requiredOption('--nodes <list>', `host:port of nodes that are asked which nodes there are, comma-separated, at most ${NODES_MAX}`)
    .option('--listen <host>', 'where Envoy listens', '0.0.0.0')
    .option('--port <port>', 'for HTTP', '8080')
    .option('--grpc-port <port>', 'for gRPC', '8081')
    .option('--admin-port <port>', 'of its own pages, on this machine only', '9901')
    .action(({ nodes, listen, port, grpcPort, adminPort }: Options) => {
      const admin = { host: '127.0.0.1', port: portOf(adminPort) };
      const options = { host: listen, port: portOf(port), grpcPort: portOf(grpcPort), admin, nodes: nodesOf(nodes) };
      process.stdout.write(envoyYaml(options));
    });
}

function nodesOf(text: string): EnvoyAddress[] {
  const parts = text.split(',');
  if (parts.length > NODES_MAX)
    throw new CliError(`--nodes: expected at most ${NODES_MAX} but received ${parts.length}; some of them are enough`);
  return parts.map((part) => {
    const [, ip6, name, port] = NODE.exec(part.trim()) ?? [];
    if (port === undefined) throw new CliError(`--nodes: expected host:port with commas between them but received ${part}`);
    return { host: ip6 ?? name ?? '', port: portOf(port) };
  });
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw new CliError(`expected a port from 1 to 65535 but received ${text}`);
  return port;
}
