import type { Terminal } from 'terminal-kit';
import { wantsColors } from '@app/config';
import type { ScreenSize } from './layout';
import type { Line, Style } from './styled-text';

interface Attributes {
  color?: string;
  bold?: boolean;
  dim?: boolean;
  inverse?: boolean;
}

const LOOKS: Record<Style, Attributes> = {
  plain: {},
  soft: { dim: true },
  strong: { bold: true },
  title: { bold: true },
  chosen: { bold: true, color: 'cyan' },
  ok: { color: 'green' },
  watch: { color: 'yellow', bold: true },
  bad: { color: 'red', bold: true },
  live: { color: 'green' },
  batch: { color: 'blue' },
  system: { color: 'yellow' },
};

/** Signals that end the program, which then leaves the terminal as it was; a shell shows 128 and the number. */
const ENDING = { SIGTERM: 15, SIGHUP: 1, SIGINT: 2, SIGQUIT: 3 } as const;

/** The whole terminal, until `close`; whatever ends the process closes it too, but for SIGKILL. */
export class Screen {
  private readonly buffer: InstanceType<typeof import('terminal-kit').ScreenBuffer>;
  private isOpen = true;
  private readonly onExit = (): void => this.close();
  private readonly signalHandlers = Object.entries(ENDING).map(([signal, code]) => {
    const handler = (): void => {
      this.close();
      process.exit(128 + code);
    };
    return [signal, handler] as const;
  });

  private constructor(
    private readonly terminal: Terminal,
    newBuffer: (terminal: Terminal) => Screen['buffer'],
    private readonly hasColors: boolean,
    handlers: { onKey: (key: string) => void; onResize: () => void },
  ) {
    terminal.fullscreen(true);
    terminal.hideCursor(true);
    terminal.grabInput(true);
    terminal.on('key', handlers.onKey);
    this.buffer = newBuffer(terminal);
    terminal.on('resize', () => {
      this.buffer.resize({ x: 0, y: 0, width: terminal.width, height: terminal.height });
      terminal.clear();
      handlers.onResize();
    });
    process.once('exit', this.onExit);
    for (const [signal, handler] of this.signalHandlers) process.once(signal, handler);
  }

  /** terminal-kit is loaded here: it takes a tenth of a second. */
  static async open(handlers: { onKey: (key: string) => void; onResize: () => void }): Promise<Screen> {
    const kit = (await import('terminal-kit')).default;
    const newBuffer = (dst: Terminal) => new kit.ScreenBuffer({ dst, noFill: false });
    return new Screen(kit.terminal, newBuffer, wantsColors(), handlers);
  }

  get size(): ScreenSize {
    return { columns: this.terminal.width, rows: this.terminal.height };
  }

  draw(lines: readonly Line[]): void {
    if (!this.isOpen) return;
    this.buffer.fill({ char: ' ', attr: {} });
    for (const [y, spans] of lines.entries()) {
      let x = 0;
      for (const { text, style } of spans) {
        this.buffer.put({ x, y, attr: this.attributesOf(style), wrap: false, dx: 1, dy: 0 }, '%s', text);
        x += [...text].length;
      }
    }
    this.buffer.draw({ delta: true });
  }

  /** Safe to call twice. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.off('exit', this.onExit);
    for (const [signal, handler] of this.signalHandlers) process.off(signal, handler);
    this.terminal.grabInput(false);
    this.terminal.hideCursor(false);
    this.terminal.styleReset();
    this.terminal.fullscreen(false);
  }

  private attributesOf(style: Style): Attributes {
    const { color, ...others } = LOOKS[style];
    return color === undefined || !this.hasColors ? others : { ...others, color };
  }
}
