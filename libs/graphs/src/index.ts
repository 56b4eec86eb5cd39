export { GraphBackend, type GraphBackendOptions } from './graph-backend';
