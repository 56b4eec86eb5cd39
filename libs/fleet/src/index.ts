export * from './batch-work';
export * from './boot-id';
export { FleetList, type KnownFleet } from './fleet-list';
export { FleetMember, type FleetMemberOptions } from './fleet-member';
export { MODELS_MAX } from './heartbeat';
export { FleetBackend, type FleetBackendOptions } from './steps/fleet-backend';
export { FleetNodes } from './steps/fleet-nodes';
export type { NodeAccess } from './steps/node-client';
