import type { EndpointKind } from '@app/protocols';
import type { Cell, WantedColumns } from './table-reader';
import type { ReadTask } from './table-task';

type Body = (cells: Record<string, Cell>) => object;

/** The body of a row's request, of the cells of its fields. */
function bodyOf({ endpoint, model, columns }: ReadTask): Body {
  const named = model === null ? {} : { model };
  if (endpoint === 'rerank') return ({ query, documents }) => ({ ...named, query, documents });
  if (endpoint !== 'predict') return ({ input }) => ({ ...named, input });
  const isPair = columns['text_pair'] !== undefined;
  return ({ text, text_pair: pair }) => ({ instances: [isPair ? { text, text_pair: pair } : text] });
}

const isList = (endpoint: EndpointKind, field: string): boolean => endpoint === 'rerank' && field === 'documents';

/** What a task needs of its table. */
export function wantedColumns({ idColumn, kept, columns, endpoint }: ReadTask): WantedColumns {
  const fields = Object.entries(columns);
  const of = (wantsList: boolean) => fields.filter(([field]) => isList(endpoint, field) === wantsList).map(([, column]) => column);
  return { carried: [...(idColumn === null ? [] : [idColumn]), ...kept], texts: of(false), lists: of(true) };
}

/** Makes the lines of groups of rows, which must be given in order. */
export class RequestLines {
  private rows = 0;
  private readonly body: Body;
  /** In the order of `wantedColumns`. */
  private readonly fields: string[];
  private readonly carriedFrom: number;
  private readonly fieldsFrom: number;

  constructor(private readonly task: ReadTask) {
    this.body = bodyOf(task);
    const fields = Object.keys(task.columns);
    this.fields = [false, true].flatMap((wantsList) => fields.filter((field) => isList(task.endpoint, field) === wantsList));
    this.carriedFrom = task.idColumn === null ? 0 : 1;
    this.fieldsFrom = this.carriedFrom + task.kept.length;
  }

  of(group: Cell[][]): string {
    const { kept, url } = this.task;
    const rowCount = group[0]?.length ?? 0;
    let text = '';
    for (let at = 0; at < rowCount; at++) {
      this.rows += 1;
      const cells: Record<string, Cell> = {};
      this.fields.forEach((field, i) => (cells[field] = group[this.fieldsFrom + i]?.[at] ?? null));
      const customId = this.carriedFrom === 0 ? `row-${this.rows}` : (group[0]?.[at] ?? null);
      const keep = kept.length === 0 ? {} : { keep: kept.map((_, i) => group[this.carriedFrom + i]?.[at] ?? null) };
      text += `${JSON.stringify({ custom_id: customId, method: 'POST', url, body: this.body(cells), ...keep })}\n`;
    }
    return text;
  }
}
