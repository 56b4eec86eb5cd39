import type { NodeEvent } from '@app/contracts';

/** An event before it has its number and time. */
export type NewEvent = Omit<NodeEvent, 'id' | 'atMs'>;
