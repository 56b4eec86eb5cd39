import type { ComponentChildren, JSX } from 'preact';

interface PanelProps {
  title: string;
  /** One line that says what is seen, for somebody who sees it for the first time. */
  note?: ComponentChildren;
  /** Beside the title. */
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

export function Panel({ title, note, aside, class: extra = '', children }: PanelProps): JSX.Element {
  const id = `panel-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;
  return (
    <section class={`panel ${extra}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{title}</h2>
        {aside !== undefined && <div class="panel-aside">{aside}</div>}
        {note !== undefined && <p class="panel-note soft small">{note}</p>}
      </header>
      {children}
    </section>
  );
}

/** What a view says when it has nothing to show, with what to do about it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children !== undefined && <div class="soft">{children}</div>}
    </div>
  );
}
