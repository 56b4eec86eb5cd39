import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { BatchDetail, ChunkSpan, ChunkTimeline } from '@app/contracts';
import { clock, count, counted, duration, text } from '../../format';
import { Empty, Panel } from '../../parts/panel';
import { endOf, stateOf, tracksOf, type SpanState, type Track } from './tracks';

const STATES: Readonly<Record<SpanState, string>> = {
  running: 'running now',
  returned: 'put back, waits to be tried again',
  failed: 'done, some rows failed',
  done: 'done',
};

/** Which chunk ran where and when. */
export function ChunkTimelinePanel({ batch, nowMs }: { batch: BatchDetail; nowMs: number }): JSX.Element {
  const { timeline } = batch;
  const note =
    'A chunk is some seconds of work. Each bar is one, from left to right in time; bars on lines of their own ran beside each other.';
  return (
    <Panel title="Chunks" note={note}>
      {timeline === null ? (
        <Empty title="No chunk has begun">Chunks are made once all rows are checked.</Empty>
      ) : (
        <Timeline timeline={timeline} endMs={batch.endedAtMs ?? Math.max(nowMs, timeline.atMs)} />
      )}
    </Panel>
  );
}

function Timeline({ timeline, endMs }: { timeline: ChunkTimeline; endMs: number }): JSX.Element {
  const [chosen, setChosen] = useState<number | null>(null);
  const begun = timeline.spans.filter(({ beganAtMs }) => beganAtMs !== null);
  const tracks = tracksOf(timeline.spans, endMs);
  const span = begun.find(({ firstChunk }) => firstChunk === chosen) ?? begun.at(-1) ?? null;
  const startMs = Math.min(...begun.map(({ beganAtMs }) => beganAtMs ?? endMs), endMs - 1_000);
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step === undefined || span === null) return;
    event.preventDefault();
    setChosen((begun[begun.indexOf(span) + step] ?? span).firstChunk);
  };
  return (
    <>
      <p class="chunk-sum">{sumText(timeline)}</p>
      <Legend />
      <div
        class="timeline"
        role="img"
        tabIndex={0}
        aria-label={`${sumText(timeline)} The arrow keys go from chunk to chunk.`}
        onKeyDown={move}
      >
        {tracks.map((track, i) => (
          <Line
            key={`${track.node} ${i}`}
            track={track}
            isFirst={tracks[i - 1]?.node !== track.node}
            window={{ startMs, endMs }}
            chosen={span?.firstChunk ?? null}
            choose={setChosen}
          />
        ))}
        <div class="timeline-axis small soft">
          <span>{clock(startMs)}</span>
          <span>{clock(endMs)}</span>
        </div>
      </div>
      <div class="span-detail" role="status">
        {span === null ? <p class="soft">No chunk runs yet.</p> : <SpanDetail span={span} endMs={endMs} />}
      </div>
    </>
  );
}

function sumText({ chunks, chunksPerSpan, states, putBacks }: ChunkTimeline): string {
  const waiting = states.pending + states.queued;
  const parts = [
    `${counted(states.committed, 'chunk')} of ${count(chunks)} done`,
    `${count(states.running)} running`,
    `${count(waiting)} waiting`,
    putBacks > 0 ? `put back ${putBacks === 1 ? 'once' : `${count(putBacks)} times`}` : null,
    chunksPerSpan > 1 ? `each bar is ${count(chunksPerSpan)} chunks` : null,
  ];
  return `${parts.filter((part) => part !== null).join(', ')}.`;
}

function Legend(): JSX.Element {
  return (
    <ul class="legend">
      {(Object.keys(STATES) as SpanState[]).map((state) => (
        <li key={state}>
          <span class={`swatch span-${state}`} aria-hidden="true" />
          {STATES[state]}
        </li>
      ))}
    </ul>
  );
}

interface LineProps {
  track: Track;
  isFirst: boolean;
  window: { startMs: number; endMs: number };
  chosen: number | null;
  choose: (chunk: number) => void;
}

function Line({ track, isFirst, window: { startMs, endMs }, chosen, choose }: LineProps): JSX.Element {
  const at = (ms: number): number => ((ms - startMs) / (endMs - startMs)) * 100;
  return (
    <div class={`track ${isFirst ? 'track-first' : ''}`}>
      <span class="track-node small">{isFirst ? (track.node ?? 'not known yet') : ''}</span>
      <div class="track-line">
        {track.spans.map((span) => {
          const [left, right] = [at(span.beganAtMs ?? startMs), at(endOf(span, endMs))];
          return (
            <div
              key={span.firstChunk}
              class={`span span-${stateOf(span)} ${span.firstChunk === chosen ? 'is-chosen' : ''}`}
              style={{ left: `${left}%`, width: `max(3px, ${right - left}% - 1px)` }}
              onClick={() => choose(span.firstChunk)}
              onPointerEnter={() => choose(span.firstChunk)}
            >
              {span.putBacks > 0 && <span class="span-again">{span.attempts}</span>}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function SpanDetail({ span, endMs }: { span: ChunkSpan; endMs: number }): JSX.Element {
  const name =
    span.chunks === 1
      ? `Chunk ${count(span.firstChunk + 1)}`
      : `Chunks ${count(span.firstChunk + 1)} to ${count(span.firstChunk + span.chunks)}`;
  const tookMs = (span.endedAtMs ?? endMs) - (span.beganAtMs ?? endMs);
  const parts = [
    `rows ${count(span.firstRow + 1)} to ${count(span.firstRow + span.rows)}`,
    STATES[stateOf(span)],
    span.nodes.length === 0 ? null : `on ${span.nodes.join(', ')}`,
    span.beganAtMs === null
      ? null
      : `began ${clock(span.beganAtMs)}, ${span.endedAtMs === null ? 'since' : 'took'} ${text(duration(tookMs))}`,
    span.failed > 0
      ? `${counted(span.failed, 'row')} failed (${Object.entries(span.failures)
          .map(([code, rows]) => `${count(rows)} ${code}`)
          .join(', ')})`
      : null,
  ];
  return (
    <>
      <p>
        <strong>{name}</strong> <span class="soft">{parts.filter((part) => part !== null).join(' · ')}</span>
      </p>
      {span.putBacks > 0 && (
        <p class="small">
          Begun {counted(span.attempts, 'time')}: put back {counted(span.putBacks, 'time')}
          {span.putBackReason !== null && `, last because ${span.putBackReason}`}. Rows that were answered are not run again.
        </p>
      )}
    </>
  );
}
