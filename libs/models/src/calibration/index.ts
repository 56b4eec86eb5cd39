export { calibrate, type CalibrationOutcome, type CalibrationRun } from './calibrate';
export { costKeyId, sha256OfFile, type CostKey } from './cost-key';
export { CostStore, type CostFile, type MeasuringMarker } from './cost-store';
export type { MeasureOutcome, RunLimits } from './measure-table';
export { planCells, type Cell } from './plan';
