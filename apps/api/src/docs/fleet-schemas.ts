import { NODE_STATES } from '@app/contracts';
import { Type, type TSchema } from '@sinclair/typebox';
import { DiscoveryAnswer } from '../fleet/discovery';

const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const ms = (description: string) => Type.Number({ description });

const node = Type.Object({
  id: Type.String(),
  bootId: Type.String({ description: 'Equal for all processes of a node until its machine starts anew' }),
  address: Type.String({ description: 'NODE_ADDRESS' }),
  ip: nullable(Type.String()),
  httpPort: Type.Integer(),
  grpcPort: Type.Integer(),
  tls: Type.Boolean(),
  version: Type.String({ description: 'Of Interleave' }),
  formatVersions: Type.Record(Type.String(), Type.Integer(), {
    description: 'Newest version of each shared format that it writes and reads',
  }),
  state: Type.String({ enum: [...NODE_STATES] }),
  reason: nullable(Type.String()),
  stateSinceMs: ms('Unix milliseconds by its own clock'),
  models: Type.Array(
    Type.Object({ name: Type.String(), version: Type.String(), state: Type.String({ enum: ['loading', 'ready', 'failed'] }) }),
  ),
  liveBacklogMs: ms('Predicted work of the live lane divided by its executors'),
  utilization: nullable(Type.Number({ description: 'Busy share of the live executors' })),
  partitions: Type.Array(Type.Object({ id: Type.String(), class: Type.String({ enum: ['reserved', 'burstable'] }), cpus: Type.Integer() })),
  batch: nullable(Type.Object({ rowsPerSecond: Type.Number(), chunksRunning: Type.Integer(), paused: nullable(Type.String()) })),
  warnings: Type.Array(Type.String()),
});
const exampleNode = {
  id: 'node-1',
  bootId: '5b0c1d7e',
  address: 'node-1.models.internal',
  ip: '10.0.0.7',
  httpPort: 8080,
  grpcPort: 8081,
  tls: false,
  version: '0.1.0',
  formatVersions: { manifest: 1, results: 1, queue: 1 },
  state: 'ready',
  reason: null,
  stateSinceMs: 1790000000000,
  models: [{ name: 'encoder-tiny', version: '1', state: 'ready' }],
  liveBacklogMs: 3.2,
  utilization: 0.41,
  partitions: [{ id: 'default', class: 'burstable', cpus: 8 }],
  batch: { rowsPerSecond: 812, chunksRunning: 4, paused: null },
  warnings: [],
};

export const FLEET_SCHEMAS = {
  Fleet: Type.Object(
    {
      fleet: Type.String({ description: 'FLEET_NAME' }),
      self: Type.String({ description: 'The node that answers' }),
      ageMs: nullable(ms('Age of the list; null: it was never read, and the node knows of itself only')),
      problem: nullable(Type.String({ description: 'Why the list is not read now' })),
      nodes: Type.Array(node),
      lost: Type.Array(
        Type.Object({ id: Type.String(), lastSeenMs: ms('Unix milliseconds by the clock of Redis'), last: nullable(node) }),
        { description: 'Nodes that ended without leaving, for 15 minutes' },
      ),
      unreadable: Type.Integer({ description: 'Nodes that this release does not understand' }),
    },
    { examples: [{ fleet: 'default', self: 'node-1', ageMs: 412.5, problem: null, nodes: [exampleNode], lost: [], unreadable: 0 }] },
  ),
  DiscoveryRequest: Type.Object(
    {
      version_info: Type.Optional(Type.String()),
      type_url: Type.Optional(Type.String()),
      resource_names: Type.Optional(Type.Array(Type.String(), { maxItems: 1024 })),
      node: Type.Optional(Type.Unknown()),
    },
    { examples: [{ resource_names: ['interleave-http'] }] },
  ),
  DiscoveryResponse: DiscoveryAnswer,
} satisfies Record<string, TSchema>;
