import fc from 'fast-check';
import { echoRow, echoRows, toJsonl, Workspace } from '../testing/workspace';
import { SEES_ALL } from '@app/batches';
import { jsonLimits } from '@app/protocols';
import { validateInput, type ValidationResult } from './validate-input';

const never = new AbortController().signal;

describe('validateInput', () => {
  const workspace = new Workspace({ chunkRows: 4 });
  afterAll(() => workspace.close());

  async function validate(
    text: string,
    options: { url?: string; modelInBody?: boolean; signal?: AbortSignal; encoding?: BufferEncoding } = {},
  ): Promise<ValidationResult> {
    const fileId = await workspace.upload(Buffer.from(text, options.encoding));
    const table = await workspace.files.readChunkTable(await workspace.files.get(fileId, SEES_ALL));
    const { url = '/v1/embeddings', modelInBody = true, signal = never } = options;
    return validateInput(
      {
        store: workspace.store,
        contentKey: workspace.files.contentKey(fileId),
        table,
        url,
        endpoint: { kind: 'embeddings', model: modelInBody ? null : 'echo', version: null },
        rowLimits: jsonLimits(workspace.config.http),
      },
      signal,
    );
  }

  const codes = ({ errors }: ValidationResult) => errors.map(({ code, line }) => [code, line]);

  it('accepts a file, blank lines, other line ends and all, and names its model', async () => {
    expect(await validate(`\n${toJsonl(echoRows(9)).replaceAll('\n', '\r\n\n')}  \n`)).toEqual({ errors: [], model: 'echo' });
  });

  it('accepts a row whose body alone is wrong: it fails when it runs', async () => {
    expect(
      await validate(
        toJsonl([
          { ...echoRow(0), body: 'no object' },
          { ...echoRow(1), body: undefined },
          { ...echoRow(2), body: {} },
        ]),
      ),
    ).toEqual({ errors: [], model: null });
  });

  it.each([
    ['no rows', '\n \n', [['empty_file', null]]],
    ['what is not JSON', '{"custom_id":', [['invalid_json_line', 1]]],
    [
      'what is not UTF-8',
      '\u0000\n"text"',
      [
        ['invalid_json_line', 1],
        ['invalid_json_line', 2],
      ],
    ],
    ['no custom_id', toJsonl([{ ...echoRow(0), custom_id: undefined }]), [['invalid_custom_id', 1]]],
    [
      'a custom_id with half a character',
      toJsonl([...echoRows(2), { ...echoRow(2), custom_id: 'row-\ud800' }, { ...echoRow(3), custom_id: 'row-\u{1F600}' }]),
      [['invalid_custom_id', 3]],
    ],
    ['a custom_id that is no string', toJsonl([{ ...echoRow(0), custom_id: 7 }]), [['invalid_custom_id', 1]]],
    ['another method', toJsonl([{ ...echoRow(0), method: 'GET' }]), [['invalid_method', 1]]],
    ['another url', toJsonl([echoRow(0), { ...echoRow(1), url: '/v1/embeddings/' }]), [['mismatched_url', 2]]],
    ['two models', toJsonl([echoRow(0), { ...echoRow(1), body: { model: 'other' } }]), [['mismatched_model', 2]]],
  ])('refuses %s, with the line', async (_what, text, expected) => {
    expect(codes(await validate(text))).toEqual(expected);
  });

  it('refuses rows that would be expensive to parse, before it does', async () => {
    const { jsonKeysMax, jsonValuesMax } = workspace.config.http;
    const keys = Object.fromEntries(Array.from({ length: jsonKeysMax + 1 }, (_, index) => [`k${index}`, 0]));
    const rows = [echoRow(0), { ...echoRow(1), unread: keys }, { ...echoRow(2), unread: Array(jsonValuesMax).fill(0) }];
    const deep = toJsonl([{ ...echoRow(3), unread: null }]).replace('null', '['.repeat(100) + ']'.repeat(100));
    const { errors } = await validate(toJsonl(rows) + deep);
    expect(errors.map(({ code, line, message }) => [code, line, /http\.json\w+/.exec(message)?.[0]])).toEqual([
      ['row_too_complex', 2, 'http.jsonKeysMax'],
      ['row_too_complex', 3, 'http.jsonValuesMax'],
      ['row_too_complex', 4, 'http.jsonDepthMax'],
    ]);
  });

  it('says what to do with UTF-16 and Latin-1', async () => {
    const utf16 = await validate(
      toJsonl([echoRow(0)])
        .split('')
        .join('\0'),
    );
    expect(utf16.errors[0]).toMatchObject({ line: 1, message: expect.stringMatching(/zero byte.*iconv -f UTF-16/) as string });
    const latin1 = await validate(toJsonl([echoRow(0), echoRow(1, 'h\u00e9')]), { encoding: 'latin1' });
    expect(latin1.errors).toEqual([
      expect.objectContaining({ line: 2, message: expect.stringMatching(/not valid UTF-8.*iconv/) as string }),
    ]);
  });

  it('finds a custom_id again in any chunk, and says where it was', async () => {
    const rows = echoRows(20);
    const result = await validate(toJsonl([...rows, echoRow(2), echoRow(20), echoRow(20)]));
    expect(codes(result)).toEqual([
      ['duplicate_custom_id', 21],
      ['duplicate_custom_id', 23],
    ]);
    expect(result.errors.map(({ message }) => message)).toEqual([
      'The custom_id "row-2" is already on line 3.',
      'The custom_id "row-20" is already on line 22.',
    ]);
  });

  it('finds all that is wrong with a line, in one pass', async () => {
    const worst = { ...echoRow(0), custom_id: '', method: 'GET', url: '/', body: { model: 'other' } };
    expect(codes(await validate(toJsonl([echoRow(0), worst, { ...echoRow(0), method: 'GET' }])))).toEqual([
      ['invalid_custom_id', 2],
      ['invalid_method', 2],
      ['mismatched_url', 2],
      ['mismatched_model', 2],
      ['invalid_method', 3],
      ['duplicate_custom_id', 3],
    ]);
  });

  it('lists 100 errors, and says so when there are more', async () => {
    const repeated = (times: number) => validate(toJsonl(Array.from({ length: times + 1 }, () => echoRow(0))));
    const { errors } = await repeated(300);
    expect([errors.length, errors[99]?.line]).toEqual([101, 101]);
    expect(errors[100]).toMatchObject({
      code: 'too_many_errors',
      line: null,
      message: expect.stringContaining('more than 100 errors; the check ended at line 102') as string,
    });
    expect((await repeated(100)).errors.map(({ code }) => code)).toEqual(Array(100).fill('duplicate_custom_id'));
  });

  it('stops when it is aborted', async () => {
    await expect(validate(toJsonl(echoRows(1)), { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
  });

  it('answers any garbage with errors for lines that exist', async () => {
    const line = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.json({ maxDepth: 2 }),
      fc.constantFrom(JSON.stringify(echoRow(1)), JSON.stringify(echoRow(2)), '{}', '[]', 'null', '{"custom_id":"a"'),
    );
    const property = fc.asyncProperty(fc.array(line, { maxLength: 12 }), async (lines) => {
      const text = lines.join('\n');
      const { errors } = await validate(text);
      expect(errors.every((error) => error.line === null || (error.line >= 1 && error.line <= text.split('\n').length))).toBe(true);
    });
    await fc.assert(property, { numRuns: 100, seed: 20261121 });
  });
});
