import { createHash } from 'node:crypto';
import { InterleaveError, type FleetView, type NodeHeartbeat, type NodeState } from '@app/contracts';
import { Type, type Static } from '@sinclair/typebox';

const ENDPOINTS = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
const HTTP = 'interleave-http';
const GRPC = 'interleave-grpc';
const MODEL = 'interleave-model-';
/** Envoy sends no traffic to what is not healthy, unless nothing is. */
const HEALTH: Record<NodeState, string> = { starting: 'UNHEALTHY', ready: 'HEALTHY', draining: 'DRAINING' };
const CLUSTERS_MAX = 1024;
export const DISCOVERY_PATH = '/v3/discovery:endpoints';

/** What is read of a DiscoveryRequest of xDS v3, in either spelling of protobuf's JSON. */
interface DiscoveryRequest {
  names: string[];
}

export const DiscoveryAnswer = Type.Object({
  version_info: Type.String(),
  type_url: Type.String(),
  resources: Type.Array(
    Type.Object({
      '@type': Type.String(),
      cluster_name: Type.String(),
      endpoints: Type.Array(
        Type.Object({
          lb_endpoints: Type.Array(
            Type.Object({
              endpoint: Type.Object({
                hostname: Type.String(),
                address: Type.Object({ socket_address: Type.Object({ address: Type.String(), port_value: Type.Integer() }) }),
              }),
              health_status: Type.String(),
            }),
          ),
        }),
      ),
    }),
  ),
});
type DiscoveryAnswer = Static<typeof DiscoveryAnswer>;
type Assignment = DiscoveryAnswer['resources'][number];

/** What to answer to the body of a DiscoveryRequest. Throws `invalid_request`, and `worker_unavailable` until the list was read once. */
export function endpointsFor(body: unknown, fleet: FleetView): DiscoveryAnswer {
  const asked = readDiscoveryRequest(body);
  if (asked === null)
    throw new InterleaveError(
      'invalid_request',
      `expected a DiscoveryRequest for ClusterLoadAssignment with at most ${CLUSTERS_MAX} resource_names`,
    );
  if (fleet.ageMs === null)
    throw new InterleaveError('worker_unavailable', `the nodes of the fleet are not known yet: ${fleet.problem ?? ''}`, {
      retryAfterSeconds: 1,
    });
  return discoveryAnswer(asked, fleet);
}

/** Null: no DiscoveryRequest for endpoints. */
function readDiscoveryRequest(body: unknown): DiscoveryRequest | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null;
  const fields = body as Record<string, unknown>;
  const type = fields['type_url'] ?? fields['typeUrl'] ?? ENDPOINTS;
  const names = fields['resource_names'] ?? fields['resourceNames'] ?? [];
  if (type !== ENDPOINTS || !isListOfNames(names)) return null;
  return { names };
}

function isListOfNames(names: unknown): names is string[] {
  return Array.isArray(names) && names.length <= CLUSTERS_MAX && names.every((name) => typeof name === 'string');
}

/** The endpoints of these clusters; no names: of all. Equal fleets give equal answers. */
function discoveryAnswer({ names }: DiscoveryRequest, { nodes }: Pick<FleetView, 'nodes'>): DiscoveryAnswer {
  const sorted = [...nodes].filter(({ ip }) => ip !== null).sort((a, b) => (a.id < b.id ? -1 : 1));
  const asked = names.length > 0 ? [...new Set(names)] : [HTTP, GRPC];
  const resources = asked.flatMap((name) => assignment(name, sorted) ?? []);
  return {
    version_info: createHash('sha256').update(JSON.stringify(resources)).digest('hex').slice(0, 16),
    type_url: ENDPOINTS,
    resources,
  };
}

/** Null: no cluster of ours. */
function assignment(name: string, nodes: NodeHeartbeat[]): Assignment | null {
  if (name === HTTP) return assign(name, nodes, ({ httpPort }) => httpPort);
  if (name === GRPC) return assign(name, nodes, ({ grpcPort }) => grpcPort);
  if (!name.startsWith(MODEL)) return null;
  const model = name.slice(MODEL.length);
  const able = nodes.filter(({ models }) => models.some((own) => own.name === model && own.state === 'ready'));
  return assign(name, able, ({ httpPort }) => httpPort);
}

function assign(name: string, nodes: NodeHeartbeat[], portOf: (node: NodeHeartbeat) => number): Assignment {
  const endpoints = nodes.map((node) => ({
    endpoint: { hostname: node.address, address: { socket_address: { address: node.ip ?? '', port_value: portOf(node) } } },
    health_status: HEALTH[node.state],
  }));
  return { '@type': ENDPOINTS, cluster_name: name, endpoints: endpoints.length === 0 ? [] : [{ lb_endpoints: endpoints }] };
}
