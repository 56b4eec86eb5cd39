import type { RowLine } from '@app/batches';
import { LineTemplate, type Endpoint, type JsonLimits, type LineParts } from '@app/protocols';
import { KnownAnswers } from './known-answers';

const FORMS_MAX = 4;
/** To find a form costs as much as to parse some rows: it is paid for by rows that had one, and a little by those that had none. */
const CREDIT = { atStart: 64, max: 256, ofMatch: 1, ofMiss: 0.25, toLearn: 16 };

/** Rows of a batch that are equal but for their custom_id and one text. */
export interface RowForm {
  readonly template: LineTemplate;
  readonly known: KnownAnswers;
}

/** The forms in which the rows of one batch come, learned from its rows. */
export class RowForms {
  /** Latest first. */
  private forms: RowForm[] = [];
  private credit = CREDIT.atStart;

  constructor(
    private readonly endpoint: Endpoint,
    private readonly url: string,
    private readonly limits: JsonLimits,
  ) {}

  /** Null: the row has a form of its own, and goes through the parser. */
  match({ bytes }: RowLine): { form: RowForm; parts: LineParts } | null {
    for (const form of this.forms) {
      const parts = form.template.match(bytes);
      if (parts === null) continue;
      if (form !== this.forms[0]) this.putFirst(form);
      this.credit = Math.min(CREDIT.max, this.credit + CREDIT.ofMatch);
      return { form, parts };
    }
    return this.learn(bytes);
  }

  private learn(bytes: Buffer): { form: RowForm; parts: LineParts } | null {
    if (this.credit < CREDIT.toLearn) {
      this.credit += CREDIT.ofMiss;
      return null;
    }
    this.credit -= CREDIT.toLearn;
    const template = LineTemplate.of(bytes, this.endpoint.kind, this.url, this.limits);
    const parts = template?.match(bytes) ?? null;
    if (template === null || parts === null) return null;
    const form = { template, known: new KnownAnswers() };
    this.putFirst(form);
    return { form, parts };
  }

  private putFirst(form: RowForm): void {
    this.forms = [form, ...this.forms.filter((other) => other !== form)].slice(0, FORMS_MAX);
  }
}
