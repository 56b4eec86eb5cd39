import { useEffect, useState } from 'preact/hooks';

/** Tokens that are drawn with. */
export type ColourName =
  | 'live'
  | 'batch'
  | 'batch-gap'
  | 'system'
  | 'idle'
  | 'soft'
  | 'text'
  | 'line'
  | 'surface'
  | 'watch'
  | 'bad'
  | 'raised';

/** The colour of a token as canvas takes it: the value in the sheet depends on the theme. */
export function colourOf(name: ColourName): string {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Changes with the theme, for what was drawn in its colours. */
export function useThemeKey(): string {
  const [key, setKey] = useState(themeKey);
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const follow = (): void => setKey(themeKey());
    const observer = new MutationObserver(follow);
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    dark.addEventListener('change', follow);
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', follow);
    };
  }, []);
  return key;
}

const themeKey = (): string =>
  getComputedStyle(document.documentElement).getPropertyValue('color-scheme') +
  document.documentElement.dataset.theme +
  matchMedia('(prefers-color-scheme: dark)').matches;

/** Stripes as those of the batch lane in the sheet. `scale`: pixels of the canvas for each of the page. */
export function hatch(context: CanvasRenderingContext2D, scale: number): CanvasPattern | string {
  const side = Math.round(6 * scale);
  const tile = document.createElement('canvas');
  tile.width = side;
  tile.height = side;
  const brush = tile.getContext('2d');
  if (brush === null) return colourOf('batch');
  brush.fillStyle = colourOf('batch-gap');
  brush.fillRect(0, 0, side, side);
  brush.strokeStyle = colourOf('batch');
  brush.lineWidth = side / 2.4;
  for (const shift of [-side, 0, side]) {
    brush.beginPath();
    brush.moveTo(shift - 1, side + 1);
    brush.lineTo(shift + side + 1, -1);
    brush.stroke();
  }
  return context.createPattern(tile, 'repeat') ?? colourOf('batch');
}
