export { calibrate, type CalibrationOutcome, type CalibrationRun } from './calibrate';
export { costKeyId, sha256OfFile, type CostKey } from './cost-key';
export { CostStore, type CostFile, type MeasuringMarker } from './cost-store';
export { measureTable, type MeasureOutcome, type RunLimits } from './measure-table';
export { MeasuredCells } from './measured-cells';
export { planCells, type Cell } from './plan';
