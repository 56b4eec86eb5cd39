import type { JSX } from 'preact';
import type { FleetView as Fleet, LostNode, NodeHeartbeat } from '@app/contracts';
import type { ViewProps } from './view-props';
import { ago, counted, decimal, duration, percent, text } from '../format';
import { Badge, type Tone } from '../parts/badge';
import { Meter } from '../parts/meter';
import { Empty, Panel } from '../parts/panel';
import { Table } from '../parts/table';

const TONES: Readonly<Record<NodeHeartbeat['state'], Tone>> = { ready: 'ok', starting: 'busy', draining: 'busy' };

/** The nodes that share batches with this one. */
export function FleetView({ snapshot: { view }, nowMs }: ViewProps): JSX.Element {
  const { fleet } = view;
  if (fleet === null)
    return (
      <Panel title="Fleet">
        <Empty title="This node is alone">
          Nodes with one REDIS_URL and one FLEET_NAME are a fleet: they share batches and know each other.
        </Empty>
      </Panel>
    );
  return (
    <>
      <Panel title={`Fleet ${fleet.fleet}`} note={noteOf(fleet)}>
        <Nodes fleet={fleet} nowMs={nowMs} />
        {fleet.nodes.flatMap(({ id, warnings }) =>
          warnings.map((warning) => (
            <p key={`${id} ${warning}`} class="notice" role="alert">
              <strong>{id}:</strong> {warning}
            </p>
          )),
        )}
      </Panel>
      {fleet.lost.length > 0 && <Lost lost={fleet.lost} nowMs={nowMs} />}
    </>
  );
}

function noteOf({ nodes, lost, problem }: Fleet): string {
  const known = `${counted(nodes.length, 'node')}${lost.length === 0 ? '' : `, ${lost.length} lost`}.`;
  return problem === null
    ? `${known} Live requests go to each by itself or through Envoy; batches are shared.`
    : `${known} The list is old: ${problem}`;
}

function Nodes({ fleet, nowMs }: { fleet: Fleet; nowMs: number }): JSX.Element {
  return (
    <Table
      label="Nodes"
      rows={fleet.nodes}
      keyOf={({ id }) => id}
      columns={[
        {
          head: 'Node',
          cell: ({ id, address, httpPort }) => (
            <>
              <strong>{id}</strong> {id === fleet.self && <span class="chip">this one</span>}
              <span class="sub soft small">
                {address}:{httpPort}
              </span>
            </>
          ),
        },
        {
          head: 'State',
          cell: ({ state, reason }) => (
            <>
              <Badge tone={TONES[state]}>{state}</Badge>
              {reason !== null && <span class="sub soft small">{reason}</span>}
            </>
          ),
        },
        {
          head: 'Live CPUs busy',
          cell: ({ id, utilization }) => (
            <span class="with-meter">
              <Meter share={utilization} label={`${id} busy`} fill="live" /> {text(percent(utilization))}
            </span>
          ),
        },
        { head: 'Live backlog', isNumber: true, cell: ({ liveBacklogMs }) => text(duration(liveBacklogMs)) },
        { head: 'Batch rows/s', isNumber: true, cell: ({ batch }) => decimal(batch?.rowsPerSecond ?? null) },
        { head: 'CPUs', cell: ({ partitions }) => partitions.map(({ cpus, class: kind }) => `${cpus} ${kind}`).join(', ') },
        { head: 'Models', isNumber: true, cell: ({ models }) => models.length },
        { head: 'Version', cell: ({ version }) => version },
        { head: 'In this state', cell: ({ stateSinceMs }) => `since ${text(duration(Math.max(0, nowMs - stateSinceMs)))}` },
      ]}
    />
  );
}

function Lost({ lost, nowMs }: { lost: readonly LostNode[]; nowMs: number }): JSX.Element {
  return (
    <Panel
      title="Lost nodes"
      note="They stopped telling of themselves without leaving. What they had of batches goes to others within 20 seconds."
    >
      <Table
        label="Lost nodes"
        rows={lost}
        keyOf={({ id }) => id}
        columns={[
          { head: 'Node', cell: ({ id }) => <strong>{id}</strong> },
          { head: 'State', cell: () => <Badge tone="bad">lost</Badge> },
          { head: 'Last heard of', cell: ({ lastSeenMs }) => ago(lastSeenMs, nowMs) },
          { head: 'Address', cell: ({ last }) => (last === null ? '–' : `${last.address}:${last.httpPort}`) },
        ]}
      />
    </Panel>
  );
}
