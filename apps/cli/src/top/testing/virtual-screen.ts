const TOKEN = /\u001b\[([0-9;?]*)([A-Za-z])|\u001b[()][0-9A-B]|([^\u001b])/gu;

/** What a terminal shows of a program that places text by row and column. */
export class VirtualScreen {
  private cells = new Map<number, string[]>();
  private row = 0;
  private column = 0;

  /** An escape sequence must not be cut by the end of `text`; what the program writes at once comes at once. */
  write(text: string): void {
    for (const [, parameters = '', command, character] of text.matchAll(TOKEN)) {
      if (character !== undefined) this.put(character);
      else if (command === 'H') [this.row = 0, this.column = 0] = placeOf(parameters);
      else if (command === 'J') this.cells.clear();
    }
  }

  get text(): string {
    const rows = [...this.cells.entries()].sort(([one], [other]) => one - other);
    return rows
      .map(([, characters]) =>
        Array.from(characters, (character) => character ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n');
  }

  private put(character: string): void {
    if (character < ' ') return;
    const line = this.cells.get(this.row) ?? [];
    this.cells.set(this.row, line);
    line[this.column++] = character;
  }
}

const placeOf = (parameters: string): number[] => (parameters === '' ? [0, 0] : parameters.split(';').map((part) => Number(part) - 1));
