import type { Settings } from '../peer';

/** What a server in TypeScript is started with. */
export const PORT = Number(process.env['PEER_PORT']);
export const MODEL = process.env['PEER_MODEL'] ?? '';
export const SETTINGS = JSON.parse(process.env['PEER_SETTINGS'] ?? '{}') as Settings;
