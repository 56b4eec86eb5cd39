import type { JSX } from 'preact';
import type { IsolationTool, IsolationView, NodeView } from '@app/contracts';
import { Badge, LaneMark, type Tone } from '../../parts/badge';
import { Panel } from '../../parts/panel';

const PROOFS: Readonly<Record<NodeView['node']['preemption']['verdict'], { tone: Tone; word: string }>> = {
  holds: { tone: 'ok', word: 'Batches give way' },
  fails: { tone: 'bad', word: 'Batches do not give way' },
  unclear: { tone: 'watch', word: 'Not sure whether batches give way' },
};

/** What each tool does, for people who do not know its name. */
const MEANINGS: Readonly<Record<IsolationTool['tool'], string>> = {
  'cpu-affinity': 'each executor stays on its CPU',
  'scheduling-class': 'batches run only when a CPU is idle',
  'scheduling-slice': 'live work is scheduled in short slices',
  nice: 'live work goes before other programs',
  'process-affinity': 'the process stays on its CPUs',
  'numa-binding': 'memory is taken near its CPUs',
  'memory-limit': 'it cannot take the memory of others',
  'oom-score': 'batches are ended first when memory runs out',
  'cpu-idle': 'batches never take a CPU from live work',
  'idle-latency': 'idle CPUs wake up at once',
  'io-class': 'disk access waits for others',
};
const STATES: Readonly<Record<IsolationTool['state'], Tone>> = { active: 'ok', off: 'quiet', unavailable: 'watch' };

export function IsolationPanel({ view: { isolation, node } }: { view: NodeView }): JSX.Element {
  const proof = PROOFS[node.preemption.verdict];
  return (
    <Panel
      title="What keeps the lanes apart"
      aside={<Badge tone={proof.tone}>{proof.word}</Badge>}
      note={`Measured at the start: ${node.preemption.reason}.`}
    >
      <ul class="isolation">
        {isolation.map((each) => (
          <Isolation key={each.process} isolation={each} />
        ))}
      </ul>
    </Panel>
  );
}

function Isolation({ isolation: { process, lane, tools, executors } }: { isolation: IsolationView }): JSX.Element {
  return (
    <li>
      <h3>
        {lane !== null && <LaneMark lane={lane === 'realtime' ? 'live' : 'batch'} />} {process}
      </h3>
      <ul>
        {tools.map((tool) => (
          <Tool key={tool.tool} tool={tool} where={null} />
        ))}
        {executors.flatMap(({ cpus, tools: own }) =>
          own.map((tool) => <Tool key={`${tool.tool} ${cpus.join()}`} tool={tool} where={executors.length > 1 ? cpus : null} />),
        )}
      </ul>
    </li>
  );
}

function Tool({ tool: { tool, state, reason }, where }: { tool: IsolationTool; where: number[] | null }): JSX.Element {
  return (
    <li class="tool">
      <Badge tone={STATES[state]}>{state}</Badge>
      <span>
        <span class="tool-name">{tool}</span> <span class="soft small">{MEANINGS[tool]}</span>
        {where !== null && <span class="soft small"> (CPUs {where.join(', ')})</span>}
        {reason !== null && <span class="tool-reason soft small">{reason}</span>}
      </span>
    </li>
  );
}
