// Figures as SVG. Colours are CSS variables, so that one drawing serves light and dark pages.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

/** A point of a line, with the ends of its interval where it has one. */
export interface Point {
  x: number;
  y: number;
  low?: number;
  high?: number;
}

/** One line. */
export interface Line {
  name: string;
  /** A name of the palette. */
  color: ColorName;
  dashed?: boolean;
  /** Behind the others, for what a mean is of. */
  thin?: boolean;
  opacity?: number;
  points: readonly Point[];
}

export interface Axis {
  /** With the unit. */
  label: string;
  scale?: 'log2' | 'log10';
  range?: readonly [number, number];
}

/** One plot: its axes say what they measure, in which unit. */
export interface Panel {
  title: string;
  x: Axis;
  y: Axis;
  lines: readonly Line[];
  /** Whether each point is marked. */
  dots?: boolean;
}

/** Told apart with red-green blindness too, and on white and on black; the base model is grey and dashed. */
const palette = {
  base: { light: '#6b7280', dark: '#a3acb9' },
  hard: { light: '#c2410c', dark: '#fb923c' },
  fuzzy: { light: '#7c3aed', dark: '#b79cff' },
  soft: { light: '#0369a1', dark: '#4cc2ff' },
  // Of values in order: from light to dark on white, and the reverse on black.
  value0: { light: '#d1a400', dark: '#8a6fd1' },
  value1: { light: '#e0752d', dark: '#c56bc0' },
  value2: { light: '#c43b4e', dark: '#f07a93' },
  value3: { light: '#8b2a78', dark: '#ffa36c' },
  value4: { light: '#4a2a8a', dark: '#ffd166' },
  value5: { light: '#1b1f4b', dark: '#f4f1bb' },
} as const;

export type ColorName = keyof typeof palette;

/** The colour of the i-th of some values in order; after six they repeat. */
export const valueColor = (i: number): ColorName => `value${i % 6}` as ColorName;

/** The palette as CSS custom properties. */
export function colorVariables(theme: 'light' | 'dark'): string {
  return Object.entries(palette)
    .map(([name, colors]) => `--${name}: ${colors[theme]};`)
    .join(' ');
}

/** Whole tens of per cent around all points, so that a difference of a few questions does not fill a plot. */
export function percentRange(points: readonly Point[]): [number, number] {
  const lows = points.map(({ y, low = y }) => low);
  const highs = points.map(({ y, high = y }) => high);
  const low = Math.max(0, Math.min(90, 10 * Math.floor(Math.min(...lows) / 10)));
  const high = 10 * Math.ceil(Math.max(...highs) / 10);
  return [low, Math.min(100, Math.max(high, low + 10))];
}

/** A line averaged over a window of a tenth of its length, centred, shorter at the ends. */
export function movingMean(points: readonly Point[]): Point[] {
  const half = Math.floor(points.length / 20);
  return points.map(({ x }, i) => {
    const window = points.slice(Math.max(0, i - half), i + half + 1);
    return { x, y: window.reduce((sum, { y }) => sum + y, 0) / window.length };
  });
}

/** The mean of several lines where all of them have a point. */
export function meanLine(lines: readonly (readonly Point[])[]): Point[] {
  const others = lines.slice(1).map((line) => new Map(line.map(({ x, y }) => [x, y])));
  return (lines[0] ?? []).flatMap(({ x, y }) => {
    const values = [y, ...others.map((line) => line.get(x))];
    if (values.some((value) => value === undefined)) return [];
    return [{ x, y: values.reduce<number>((sum, value) => sum + value!, 0) / values.length }];
  });
}

/** A panel as an SVG element, drawn for a width in pixels. */
export function drawPanel({ title, x, y, lines, dots }: Panel, width = 460): string {
  const { document } = parseHTML('<html><body></body></html>');
  const points = lines.flatMap((line) => line.points);
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const stroke = ({ color }: Line) => `var(--${color})`;
  const banded = lines.filter((line) => line.points.some(({ low, high }) => low !== undefined && high !== undefined));
  const svg = Plot.plot({
    document: document as unknown as NonNullable<Plot.PlotOptions['document']>,
    width,
    height: Math.round(width * 0.42 + 90),
    marginTop: 30,
    marginLeft: 42,
    marginRight: 12,
    marginBottom: 40,
    style: { background: 'none', fontSize: '12px', fontFamily: 'inherit' },
    x: {
      label: x.label,
      labelAnchor: 'center',
      labelArrow: 'none',
      ...(x.range && { domain: [...x.range] }),
      type: x.scale ? 'log' : 'linear',
      ...(x.scale === 'log2'
        ? { base: 2, tickFormat: 'd', ticks: xs }
        : { ticks: Math.max(3, Math.round(width / 80)) }),
    },
    y: {
      label: y.label,
      labelArrow: 'none',
      grid: true,
      ...(y.range ? { domain: [...y.range] } : { nice: true }),
      type: y.scale ? 'log' : 'linear',
      ...(y.scale ? { ticks: 4, tickFormat: '~s' } : { ticks: 5 }),
    },
    color: { type: 'identity' },
    marks: [
      ...banded.map((line) =>
        Plot.areaY(line.points, { x: 'x', y1: 'low', y2: 'high', fill: stroke(line), fillOpacity: 0.12 }),
      ),
      // Thin lines first, so that the means lie on top.
      ...lines
        .toSorted((a, b) => Number(b.thin === true) - Number(a.thin === true))
        .map((line) =>
          Plot.line(line.points, {
            x: 'x',
            y: 'y',
            stroke: stroke(line),
            strokeWidth: line.thin ? 1 : 2,
            strokeOpacity: line.opacity ?? (line.thin ? 0.35 : 1),
            ...(line.dashed && { strokeDasharray: '5 4' }),
          }),
        ),
      ...(dots
        ? lines
            .filter(({ thin }) => !thin)
            .map((line) => Plot.dot(line.points, { x: 'x', y: 'y', fill: stroke(line), r: 2.5 }))
        : []),
    ],
  });
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${title}: ${y.label} over ${x.label}; ${describe(lines)}`);
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}

/** Where each line ends, for whoever cannot see it. */
function describe(lines: readonly Line[]): string {
  const ends = lines
    .filter(({ thin }) => !thin)
    .map(({ name, points }) => `${name} ${points.at(-1)?.y.toPrecision(3) ?? 'none'}`);
  return `at the right end ${ends.join(', ')}`;
}
