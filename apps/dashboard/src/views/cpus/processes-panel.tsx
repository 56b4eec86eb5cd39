import type { JSX } from 'preact';
import type { NodeView, ProcessView, WorkerView } from '@app/contracts';
import { bytes, count, text } from '../../format';
import { Badge, LaneMark, type Tone } from '../../parts/badge';
import { Panel } from '../../parts/panel';
import { Table } from '../../parts/table';

type Row = Pick<ProcessView, 'id' | 'pid' | 'restarts' | 'reason' | 'residentBytes'> & {
  state: WorkerView['state'];
  lane: WorkerView['lane'] | null;
  cpus: string;
  queueItems: number | null;
  limitBytes: number | null;
};

const TONES: Readonly<Record<Row['state'], Tone>> = {
  serving: 'ok',
  ready: 'ok',
  starting: 'busy',
  draining: 'busy',
  backoff: 'bad',
  stopped: 'bad',
  silent: 'bad',
};
const WORDS: Partial<Record<Row['state'], string>> = { backoff: 'waits for its next start', silent: 'does not answer' };

export function ProcessesPanel({ view }: { view: NodeView }): JSX.Element {
  const rows = [...view.workers.map(workerRow), ...view.processes.map(processRow)];
  return (
    <Panel title="Processes" note="Each is started again by the scheduler when it ends.">
      <Table
        label="Processes"
        rows={rows}
        keyOf={({ id }) => id}
        columns={[
          { head: 'Process', cell: (row) => <ProcessName row={row} /> },
          { head: 'State', cell: ({ state }) => <Badge tone={TONES[state]}>{WORDS[state] ?? state}</Badge> },
          { head: 'CPUs', cell: ({ cpus }) => cpus },
          { head: 'Waiting items', isNumber: true, cell: ({ queueItems }) => count(queueItems) },
          { head: 'Memory', isNumber: true, cell: memoryText },
          { head: 'Restarts', isNumber: true, cell: ({ restarts }) => count(restarts) },
          { head: 'Why it last ended', cell: ({ reason }) => reason ?? <span class="soft">never did</span> },
          { head: 'pid', isNumber: true, cell: ({ pid }) => pid ?? '–' },
        ]}
      />
    </Panel>
  );
}

function ProcessName({ row: { id, lane } }: { row: Row }): JSX.Element {
  return (
    <span class="process-name">
      {lane !== null && <LaneMark lane={lane === 'realtime' ? 'live' : 'batch'} />}
      {id}
    </span>
  );
}

const memoryText = ({ residentBytes, limitBytes }: Row): string =>
  limitBytes === null ? text(bytes(residentBytes)) : `${text(bytes(residentBytes))} of ${text(bytes(limitBytes))}`;

const workerRow = ({ memory, cpus, ...worker }: WorkerView): Row => ({
  ...worker,
  cpus: rangesOf(cpus),
  residentBytes: memory?.residentBytes ?? null,
  limitBytes: memory?.limitBytes ?? null,
});

const processRow = (process: ProcessView): Row => ({ ...process, lane: null, cpus: '', queueItems: null, limitBytes: null });

/** `0-3, 8`. */
function rangesOf(cpus: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const cpu of [...cpus].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === cpu - 1) range[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}
