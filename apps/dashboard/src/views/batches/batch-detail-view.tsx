import type { JSX } from 'preact';
import type { BatchDetail } from '@app/contracts';
import { bytes, count, counted, dateTime, perSecond, percent, text, took } from '../../format';
import { usePolled } from '../../live/requests';
import { Figure } from '../../parts/figure';
import { Icon } from '../../parts/icon';
import { Meter } from '../../parts/meter';
import { Empty, Panel } from '../../parts/panel';
import { Problem } from '../../parts/problem';
import { hrefOf } from '../../route';
import { BatchActions, urlOf } from './actions';
import { BatchSearch } from './batch-search';
import { BatchState, doneShare, leftText, rowsText } from './batch-words';
import { ChunkTimelinePanel } from './chunk-timeline';

const REFRESH_MS = 2_000;

export function BatchDetailView({ id, nowMs }: { id: string; nowMs: number }): JSX.Element {
  const { data: batch, problem, reload } = usePolled<BatchDetail>(urlOf(id), REFRESH_MS);
  return (
    <>
      <a class="back" href={hrefOf('batches')}>
        <Icon name="back" /> All batches
      </a>
      {problem !== null && <Problem text={problem} />}
      {batch === null && problem === null && <p class="soft">Reading the batch</p>}
      {batch !== null && (
        <>
          <Progress batch={batch} reload={reload} />
          <ChunkTimelinePanel batch={batch} nowMs={nowMs} />
          <div class="two">
            <Failures batch={batch} />
            <Log batch={batch} />
          </div>
          <BatchSearch nowMs={nowMs} batchId={id} />
          <Facts batch={batch} />
        </>
      )}
    </>
  );
}

function Progress({ batch, reload }: { batch: BatchDetail; reload: () => void }): JSX.Element {
  const share = doneShare(batch);
  return (
    <Panel
      class="lane-batch"
      title={batch.id}
      aside={<BatchState batch={batch} />}
      note={batch.paused ?? [batch.model, batch.endpoint].filter((part) => part !== null).join(' · ')}
    >
      <div class="lane-main">
        <Figure size="huge" label="Rows done" quantity={percent(share)} note={rowsText(batch)} />
        <div class="figures">
          {batch.endedAtMs === null && <Figure label="Pace" quantity={perSecond(batch.rowsPerSecond, ' rows')} />}
          {batch.endedAtMs === null && <Figure label="Time left" quantity={{ value: leftText(batch), unit: '' }} />}
          {batch.endedAtMs !== null && (
            <Figure label="Took" quantity={{ value: took(batch.endedAtMs - (batch.beganAtMs ?? batch.createdAtMs)), unit: '' }} />
          )}
          <Figure
            label="Failed"
            quantity={{ value: count(batch.rows.failed), unit: batch.rows.failed === 1 ? 'row' : 'rows' }}
            tone={batch.rows.failed > 0 ? 'bad' : undefined}
          />
          {batch.rows.notRun > 0 && <Figure label="Not run" quantity={{ value: count(batch.rows.notRun), unit: 'rows' }} />}
        </div>
      </div>
      <Meter share={share} label="Rows done" fill="batch" />
      <div class="detail-foot">
        <BatchActions batch={batch} onDone={reload} />
        <Downloads batch={batch} />
      </div>
    </Panel>
  );
}

function Downloads({ batch: { id, output, errors } }: { batch: BatchDetail }): JSX.Element {
  return (
    <div class="downloads">
      {output !== null && (
        <a class="button" href={urlOf(id, '/output')} download={output.filename}>
          <Icon name="down" /> Output <span class="soft small">{text(bytes(output.bytes))}</span>
        </a>
      )}
      {errors !== null && (
        <a class="button" href={urlOf(id, '/errors')} download={errors.filename}>
          <Icon name="down" /> Errors <span class="soft small">{text(bytes(errors.bytes))}</span>
        </a>
      )}
    </div>
  );
}

function Failures({ batch: { failures, problems } }: { batch: BatchDetail }): JSX.Element {
  const total = failures.reduce((sum, { rows }) => sum + rows, 0);
  return (
    <Panel title="Why rows fail">
      {failures.length === 0 && problems.length === 0 && <Empty title="No row has failed" />}
      {failures.length > 0 && (
        <ul class="failures">
          {failures.map(({ code, rows: failed }) => (
            <li key={code}>
              <code>{code}</code>
              <Meter share={failed / total} label={`Part of the failed rows with ${code}`} fill="plain" />
              <span>{counted(failed, 'row')}</span>
            </li>
          ))}
        </ul>
      )}
      {problems.length > 0 && (
        <ul class="problems">
          {problems.map(({ line, message, code }, i) => (
            <li key={i}>
              {line !== null && <strong>Line {count(line)}: </strong>}
              {message} <code class="soft small">{code}</code>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Log({ batch: { log } }: { batch: BatchDetail }): JSX.Element {
  return (
    <Panel title="What happened">
      {log.length === 0 ? (
        <Empty title="Nothing yet" />
      ) : (
        <ol class="log">
          {[...log].reverse().map(({ at, message, count: times = 1 }) => (
            <li key={`${at} ${message}`}>
              <time class="soft small">{dateTime(at * 1_000)}</time>
              <span>
                {message}
                {times > 1 && <span class="soft"> ({times} times)</span>}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function Facts({ batch }: { batch: BatchDetail }): JSX.Element {
  const facts: [string, string | null][] = [
    ['Model', batch.pinned === null ? batch.model : `${batch.pinned.model}, version ${batch.pinned.version}`],
    ['Tenant', `${batch.tenant}, weight ${batch.tenantWeight}`],
    ['Priority', `${batch.priority}, weight ${batch.weight}`],
    ['Node that has it', batch.owner],
    ['Input', batch.inputUri ?? (batch.inputFile === null ? null : `${batch.inputFile.filename}, ${text(bytes(batch.inputFile.bytes))}`)],
    ['Made', dateTime(batch.createdAtMs)],
    ['Began', batch.beganAtMs === null ? null : dateTime(batch.beganAtMs)],
    ['Ended', batch.endedAtMs === null ? null : dateTime(batch.endedAtMs)],
    ['Must be done by', batch.expiresAtMs === null || batch.endedAtMs !== null ? null : dateTime(batch.expiresAtMs)],
    ['Rows of', batch.retryOf],
    ['Runs', batch.isDryRun ? 'dry: nothing is answered' : batch.isDeterministic ? 'deterministic: each row alone' : null],
    ...Object.entries(batch.metadata),
  ];
  return (
    <Panel title="About it">
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value !== null && (
              <div key={name}>
                <dt class="soft">{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
    </Panel>
  );
}
