import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import type { InferenceItem } from '@app/contracts';
import { CliError } from '../cli-error';

/** The quantizer reads all of it at once. */
const BYTES_MAX = 512 * 1024 * 1024;

/**
 * Writes rows for the quantizer: their bytes to `<path>.bin`, and where each tensor of each row lies to `<path>.json`. Throws a
 * `CliError` for more than 512 MiB, and for texts, which no operator can be calibrated with.
 */
export function writeCalibration(path: string, items: readonly InferenceItem[]): void {
  const file = openSync(`${path}.bin`, 'w');
  try {
    let offset = 0;
    const rows = items.map(({ inputs }) =>
      Object.fromEntries(
        inputs.map(({ name, datatype, shape, data }) => {
          if (datatype === 'BYTES' || datatype === 'BF16')
            throw new CliError(`the input "${name}" holds ${datatype}, which the quantizer cannot be given; leave --calibration out`);
          if (offset + data.byteLength > BYTES_MAX)
            throw new CliError(`expected at most ${BYTES_MAX} bytes of rows for the calibration; some hundred rows are enough`);
          const tensor = { datatype, shape, offset };
          offset += writeSync(file, data);
          return [name, tensor];
        }),
      ),
    );
    writeFileSync(`${path}.json`, JSON.stringify(rows));
  } finally {
    closeSync(file);
  }
}
