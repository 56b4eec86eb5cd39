export * from './batch-work';
export * from './boot-id';
export { FleetConnection, openFleetModels } from './fleet-connection';
export { type KnownFleet } from './fleet-list';
export { FleetMember, type FleetMemberOptions } from './fleet-member';
export { MODELS_MAX } from './heartbeat';
export { FleetBackend, type FleetBackendOptions } from './steps/fleet-backend';
export type { FleetModels } from './steps/fleet-models';
