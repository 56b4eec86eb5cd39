import { OBSERVATION_DOORS, type StatusDoor } from '@app/process';
import { LONG_MS, type NodeHistoryStore } from '../history/node-history';
import type { ObservationStream } from './observation-stream';

const HOUR_MS = 3_600_000;

/** For the scheduler's status socket. */
export function observationDoors(stream: ObservationStream, history: NodeHistoryStore): Record<string, StatusDoor> {
  return {
    [OBSERVATION_DOORS.stream]: (_query, response) => stream.open(response),
    [OBSERVATION_DOORS.view]: (_query, response) => {
      const body = stream.view ?? { error: 'it has just started' };
      response.writeHead(stream.view === null ? 503 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    },
    [OBSERVATION_DOORS.history]: (query, response) => {
      const hours = Math.min(Number(query.get('hours')) || 1, LONG_MS / HOUR_MS);
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(history.last(hours, Date.now())));
    },
  };
}
