import { KnownAnswers } from './known-answers';

const vectorOf = (i: number): Float32Array => Float32Array.from({ length: 128 }, (_, j) => i + j / 7);
const vectors = { before: '{"data":[', vectorForm: 'base64', after: '],"tokens":3}' } as const;
const files = (revision: number, remoteFiles: string | null = null) => ({ revision, remoteFiles });
const plain = { vector: null, vectorForm: 'numbers', after: '' } as const;

describe('KnownAnswers', () => {
  it('gives back what was answered, to the last digit', () => {
    const known = new KnownAnswers().of(files(1));
    for (let i = 0; i < 100; i++) known.add(`text ${i} é \u{1F600}`, { ...vectors, vector: vectorOf(i) });
    known.add('labels', { before: '{"label":"ü"}', ...plain });
    for (let i = 0; i < 100; i++) expect(known.get(`text ${i} é \u{1F600}`)).toEqual({ ...vectors, vector: vectorOf(i) });
    expect(known.get('labels')).toEqual({ before: '{"label":"ü"}', ...plain });
    expect(known.get('text 1 é')).toBeNull();
    expect(known.get('')).toBeNull();
  });

  it('tells texts with the same hash apart', () => {
    const known = new KnownAnswers().of(files(1));
    const texts = Array.from({ length: 30_000 }, (_, i) => `${i}`);
    for (const text of texts.slice(0, 15_000)) known.add(text, { before: text, ...plain });
    for (const text of texts) expect(known.get(text)?.before ?? null).toBe(Number(text) < 15_000 ? text : null);
  });

  it('forgets the oldest ones, not the newest, and stays of bounded size', () => {
    const known = new KnownAnswers().of(files(1));
    for (let i = 0; i < 60_000; i++) known.add(`text ${i}`, { ...vectors, vector: vectorOf(i) });
    expect(known.get('text 0')).toBeNull();
    expect(known.get('text 59999')?.vector).toEqual(vectorOf(59_999));
    expect(known.get('text 50000')?.vector).toEqual(vectorOf(50_000));
    known.add('huge', { before: 'x'.repeat(9 * 1024 * 1024), ...plain });
    expect(known.get('huge')).toBeNull();
  });

  it('remembers one answer of eight where no text comes again, and all once one does', () => {
    const known = new KnownAnswers().of(files(1));
    const answered = (text: string): boolean => {
      const isKnown = known.get(text) !== null;
      if (!isKnown) known.add(text, { before: text, ...plain });
      return isKnown;
    };
    expect(Array.from({ length: 20_000 }, (_, i) => answered(`once ${i}`))).not.toContain(true);
    const last = Array.from({ length: 80 }, (_, i) => `once ${19_999 - i}`).filter((text) => known.get(text) !== null);
    expect(last).toHaveLength(10);
    expect(answered(last[0] as string)).toBe(true);
    for (let i = 0; i < 100; i++) expect(answered(`twice ${i}`)).toBe(false);
    for (let i = 0; i < 100; i++) expect(answered(`twice ${i}`)).toBe(true);
  });

  it('forgets what another revision of the model answered', () => {
    const known = new KnownAnswers();
    const first = known.of(files(1));
    first.add('a', { ...vectors, vector: vectorOf(1) });
    expect(known.of(files(1)).get('a')).not.toBeNull();
    expect(known.of(files(2)).get('a')).toBeNull();
    // A run of the first one that ends only now.
    first.add('b', { ...vectors, vector: vectorOf(1) });
    expect(known.of(files(2)).get('b')).toBeNull();
  });

  it('forgets what a graph answered by other files of other nodes', () => {
    const known = new KnownAnswers();
    known.of(files(1, 'one')).add('a', { ...vectors, vector: vectorOf(1) });
    expect(known.of(files(1, 'one')).get('a')).not.toBeNull();
    expect(known.of(files(1, 'two')).get('a')).toBeNull();
  });

  it('has memory for some forms at once, the latest ones', () => {
    const forms = Array.from({ length: 20 }, () => new KnownAnswers().of(files(1)));
    for (const known of forms) known.add('a', { ...vectors, vector: vectorOf(1) });
    expect(forms.map((known) => known.get('a') !== null)).toEqual(forms.map((_, i) => i >= 14));
    forms[0]?.add('b', { ...vectors, vector: vectorOf(2) });
    expect(forms[0]?.get('b')?.vector).toEqual(vectorOf(2));
    expect(forms[0]?.get('a')).toBeNull();
  });
});
