import { AutoModel, env, mean_pooling, Tensor, type PreTrainedModel } from '@huggingface/transformers';

const ROWS_PER_RUN = 32;

/** Feature extraction by `@huggingface/transformers` in this process, on the same model files and as many threads. */
export class TransformersRunner {
  private constructor(private readonly model: PreTrainedModel) {}

  static async open(modelDir: string, threads: number): Promise<TransformersRunner> {
    env.allowRemoteModels = false;
    const model = await AutoModel.from_pretrained(modelDir, {
      local_files_only: true,
      subfolder: '',
      dtype: 'fp32',
      session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
    });
    return new TransformersRunner(model);
  }

  /** Runs rows of token ids in their order, each run padded to its longest row, and pools them as its pipeline does. */
  async seconds(rows: number[][]): Promise<number> {
    const startMs = performance.now();
    for (let first = 0; first < rows.length; first += ROWS_PER_RUN) await this.run(rows.slice(first, first + ROWS_PER_RUN));
    return (performance.now() - startMs) / 1000;
  }

  private async run(rows: number[][]): Promise<void> {
    const length = Math.max(...rows.map((row) => row.length));
    const tensor = (valueOf: (row: number[], position: number) => number): Tensor =>
      new Tensor(
        'int64',
        BigInt64Array.from(rows.flatMap((row) => Array.from({ length }, (_, position) => BigInt(valueOf(row, position))))),
        [rows.length, length],
      );
    const mask = tensor((row, position) => (position < row.length ? 1 : 0));
    const output = (await this.model({ input_ids: tensor((row, position) => row[position] ?? 0), attention_mask: mask })) as {
      last_hidden_state: Tensor;
    };
    mean_pooling(output.last_hidden_state, mask).normalize(2, -1);
  }
}
