import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument, type Document } from 'yaml';

/** Where a node, or Envoy itself, is reached: a Unix socket, or a host and a port. */
export type EnvoyAddress = { path: string } | { host: string; port: number };

export interface EnvoyOptions {
  host: string;
  port: number;
  grpcPort: number;
  admin: EnvoyAddress;
  /** Any nodes that tell which nodes there are; at least one. */
  nodes: readonly EnvoyAddress[];
}

/** The file as it is shipped; this one lies in libs/config/src, or below dist. */
const FILE = join('deploy', 'envoy', 'envoy.yaml');
const HTTP_LISTENER = 0;
const GRPC_LISTENER = 1;
const DISCOVERY = 'xds.localhost';

/** `deploy/envoy/envoy.yaml` for these addresses, with its comments. */
export function envoyYaml({ host, port, grpcPort, admin, nodes }: EnvoyOptions): string {
  const document = parseDocument(readFileSync(shippedFile(), 'utf8'));
  const set = (path: readonly (string | number)[], value: unknown): void => document.setIn(path, document.createNode(value));
  set(['admin', 'address'], addressOf(admin));
  set(['static_resources', 'listeners', HTTP_LISTENER, 'address'], addressOf({ host, port }));
  set(['static_resources', 'listeners', GRPC_LISTENER, 'address'], addressOf({ host, port: grpcPort }));
  const discovery = ['static_resources', 'clusters', indexOfCluster(document, DISCOVERY)];
  // Sockets have no names to look up.
  if (nodes.every((node) => 'path' in node)) set([...discovery, 'type'], 'STATIC');
  const endpoints = nodes.map((node) => ({ endpoint: { address: addressOf(node) } }));
  set([...discovery, 'load_assignment', 'endpoints'], [{ lb_endpoints: endpoints }]);
  return document.toString({ lineWidth: 0 });
}

function indexOfCluster(document: Document, name: string): number {
  const { static_resources: resources } = document.toJS() as { static_resources: { clusters: { name: string }[] } };
  return resources.clusters.findIndex((cluster) => cluster.name === name);
}

function addressOf(address: EnvoyAddress): object {
  if ('path' in address) return { pipe: { path: address.path } };
  return { socket_address: { address: address.host, port_value: address.port } };
}

function shippedFile(): string {
  const folders = [join(__dirname, '..', '..', '..'), join(__dirname, '..', '..', '..', '..')];
  const path = folders.map((folder) => join(folder, FILE)).find(existsSync);
  if (path === undefined) throw new Error(`expected ${FILE} beside the program; it comes with the project`);
  return path;
}
