import type { JSX } from 'preact';
import type { BreakerStatus, FrontDoorView, NodeView } from '@app/contracts';
import { ago, bytes, count, counted, decimal, percent, text } from '../../format';
import { Badge } from '../../parts/badge';
import { Panel } from '../../parts/panel';
import { Table } from '../../parts/table';

/** Who calls the node, and by which door. */
export function CallersPanel({ view: { frontDoor, breakers, atMs } }: { view: NodeView }): JSX.Element | null {
  if (frontDoor === null) return null;
  const tables = [
    frontDoor.tenants.length > 0 && <Tenants key="tenants" door={frontDoor} />,
    frontDoor.grpc.length > 0 && <Grpc key="grpc" door={frontDoor} />,
    frontDoor.cache.models.length > 0 && <KeptAnswers key="cache" door={frontDoor} />,
    (breakers ?? []).some(({ state }) => state !== 'closed') && <Breakers key="breakers" breakers={breakers ?? []} nowMs={atMs} />,
  ].filter((each) => each !== false);
  return (
    <Panel title="Callers" aside={<Keys keys={frontDoor.keys} />}>
      {tables.length === 0 ? <p class="soft">Nobody called since the API started.</p> : <div class="tables">{tables}</div>}
    </Panel>
  );
}

function Keys({ keys }: { keys: FrontDoorView['keys'] }): JSX.Element {
  const known =
    keys.valid + keys.expired === 0 ? 'No keys: everybody who reaches the node may call' : `${counted(keys.valid, 'valid key')}`;
  const parts = [
    known,
    keys.ending > 0 && `${count(keys.ending)} end within 14 days`,
    keys.requestsWithout > 0 && `${count(keys.requestsWithout)} requests without a valid key`,
  ];
  return <span class="soft small">{parts.filter((part) => part !== false).join(' · ')}</span>;
}

function Tenants({ door }: { door: FrontDoorView }): JSX.Element {
  return (
    <div>
      <h3>Tenants</h3>
      <Table
        label="Tenants"
        rows={door.tenants}
        keyOf={({ tenant }) => tenant}
        columns={[
          { head: 'Tenant', cell: ({ tenant }) => tenant },
          { head: 'Executor time used', isNumber: true, cell: ({ usedMsPerSecond }) => `${decimal(usedMsPerSecond)} ms/s` },
          {
            head: 'Limit',
            isNumber: true,
            cell: ({ shareMsPerSecond }) => (shareMsPerSecond === null ? 'none' : `${decimal(shareMsPerSecond)} ms/s`),
          },
          { head: 'In progress', isNumber: true, cell: ({ inFlight }) => count(inFlight) },
          { head: 'Refused', isNumber: true, cell: ({ refused }) => count(refused) },
        ]}
      />
    </div>
  );
}

function Grpc({ door }: { door: FrontDoorView }): JSX.Element {
  return (
    <div>
      <h3>gRPC</h3>
      <Table
        label="gRPC calls"
        rows={door.grpc}
        keyOf={({ method }) => method}
        columns={[
          { head: 'Method', cell: ({ method }) => <code>{method}</code> },
          { head: 'Open', isNumber: true, cell: ({ open }) => count(open) },
          {
            head: 'Ended',
            isNumber: true,
            cell: ({ calls }) => calls.map(({ status, calls: ended }) => `${count(ended)} ${status}`).join(', '),
          },
        ]}
      />
    </div>
  );
}

function KeptAnswers({ door: { cache } }: { door: FrontDoorView }): JSX.Element {
  return (
    <div>
      <h3>
        Kept answers <span class="soft">{text(bytes(cache.bytes))}</span>
      </h3>
      <Table
        label="Kept answers"
        rows={cache.models}
        keyOf={({ model }) => model}
        columns={[
          { head: 'Model', cell: ({ model }) => model },
          {
            head: 'Taken from there',
            isNumber: true,
            cell: ({ hits, misses }) => text(percent(hits + misses === 0 ? null : hits / (hits + misses))),
          },
          { head: 'Answers', isNumber: true, cell: ({ hits, misses }) => count(hits + misses) },
        ]}
      />
    </div>
  );
}

function Breakers({ breakers, nowMs }: { breakers: readonly BreakerStatus[]; nowMs: number }): JSX.Element {
  return (
    <div>
      <h3>Circuit breakers</h3>
      <Table
        label="Circuit breakers"
        rows={breakers.filter(({ state }) => state !== 'closed')}
        keyOf={({ name }) => name}
        columns={[
          { head: 'Before', cell: ({ name }) => name },
          {
            head: 'State',
            cell: ({ state }) => (
              <Badge tone={state === 'open' ? 'bad' : 'watch'}>{state === 'open' ? 'refuses calls' : 'tries again'}</Badge>
            ),
          },
          { head: 'Since', cell: ({ sinceMs }) => ago(sinceMs, nowMs) },
          { head: 'Why', cell: ({ reason }) => reason },
        ]}
      />
    </div>
  );
}
