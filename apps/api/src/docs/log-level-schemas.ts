import { LOG_LEVELS } from '@app/contracts';
import { Type } from '@sinclair/typebox';

const level = Type.String({ enum: [...LOG_LEVELS] });

/** Of `/admin/log-level`. */
export const LOG_LEVEL_SCHEMAS = {
  LogLevel: Type.Object({ level }, { examples: [{ level: 'debug' }] }),
  LogLevels: Type.Object({
    level,
    processes: Type.Record(Type.String(), Type.Union([level, Type.Null()]), { description: 'By process; null: it did not answer' }),
  }),
};
