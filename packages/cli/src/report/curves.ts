// Training curves and pass@k curves as SVG. Colours are CSS variables, so that one drawing serves light and dark pages.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { TrainConfig } from '../config/recipe.js';
import type { SubjectName } from '../jobs/tasks.js';
import type { MetricsRecord } from '../jobs/trainTask.js';
import type { RunResults } from '../results.js';

/** The log of one mode's training. */
export interface TrainingLog {
  mode: SubjectName;
  records: readonly MetricsRecord[];
}

/** One point of a curve. */
export interface Point {
  series: SubjectName;
  x: number;
  y: number;
}

/** One plot: its axes say what they measure, in which unit. */
export interface Figure {
  title: string;
  x: { label: string; log2?: boolean };
  y: { label: string; log10?: boolean; range?: [number, number] };
  /** Drawn as lines; `faint` ones behind, thin. */
  points: readonly Point[];
  faint?: readonly Point[];
  /** Whether each point is marked. */
  dots: boolean;
}

/** Told apart with red-green blindness too, and on white and on black; the base model is grey and dashed. */
const palette: Record<SubjectName, { light: string; dark: string }> = {
  base: { light: '#6b7280', dark: '#a3acb9' },
  hard: { light: '#c2410c', dark: '#fb923c' },
  fuzzy: { light: '#7c3aed', dark: '#b79cff' },
  soft: { light: '#0369a1', dark: '#4cc2ff' },
};

/** The palette as CSS custom properties. */
export function colorVariables(theme: 'light' | 'dark'): string {
  return Object.entries(palette)
    .map(([name, colors]) => `--${name}: ${colors[theme]};`)
    .join(' ');
}

/** Which colour is which, as HTML. */
export function legend(names: readonly SubjectName[]): string {
  const item = (name: SubjectName) => {
    const style = name === 'base' ? 'dashed' : 'solid';
    return `<li><i style="border-color: var(--${name}); border-top-style: ${style}"></i>${name === 'base' ? 'base, not trained' : name}</li>`;
  };
  return `<ul class="legend">${names.map(item).join('')}</ul>`;
}

/** Reward, validation accuracy, gradient norm and thought length over the steps. */
export function trainingFigures(
  logs: readonly TrainingLog[],
  config: Pick<TrainConfig, 'questionsPerStep' | 'samples'>,
): Figure[] {
  type Step = Extract<MetricsRecord, { type: 'step' }>;
  const steps = (y: (record: Step) => number) =>
    logs.flatMap(({ mode, records }) =>
      records.flatMap((record): Point[] =>
        record.type === 'step' && Number.isFinite(y(record)) ? [{ series: mode, x: record.step, y: y(record) }] : [],
      ),
    );
  const validations = logs.flatMap(({ mode, records }) =>
    records.flatMap((record): Point[] =>
      record.type === 'validation' ? [{ series: mode, x: record.step, y: 100 * record.accuracy }] : [],
    ),
  );
  const asked = logs.flatMap(({ records }) => records).find((record) => record.type === 'validation');
  const questions = asked?.type === 'validation' ? asked.questions : 0;
  const n = config.questionsPerStep * config.samples;
  const x = { label: 'training step' };
  const rewards = steps(({ reward }) => reward);
  return [
    {
      title: 'Reward under its own sampling',
      x,
      y: { label: `reward, 0 to 100 (mean of ${n} samples; bold: moving mean)` },
      points: movingMean(rewards),
      faint: rewards,
      dots: false,
    },
    {
      title: 'Greedy validation',
      x,
      y: { label: `correct, % of ${questions} questions`, range: percentRange(validations) },
      points: validations,
      dots: true,
    },
    {
      title: 'Gradient norm',
      x,
      y: { label: 'global norm of the gradient (log scale)', log10: true },
      points: steps(({ gradientNorm }) => gradientNorm).filter(({ y }) => y > 0),
      dots: false,
    },
    {
      title: 'Length of a thought',
      x,
      y: { label: `tokens (mean of ${n} samples)` },
      points: steps(({ thoughtTokens }) => thoughtTokens),
      dots: false,
    },
  ];
}

/** A plot for each kind of sampled thought: pass@k of every model. */
export function passAtKFigures({ models, evaluation }: RunResults): Figure[] {
  return (models[0]?.sets ?? []).flatMap(({ set, questions }) =>
    passAtKOf(models, set, `${questions} questions × ${evaluation?.samples} samples`),
  );
}

function passAtKOf(models: RunResults['models'], set: string, drawn: string): Figure[] {
  const pointsOf = (kind: string) =>
    models.flatMap(({ subject, sets }) => {
      const settings = sets.find((result) => result.set === set)?.settings;
      const result = settings?.find(({ setting }) => setting === `${kind}-sample`);
      return (result?.passAtK ?? []).map(({ k, value }): Point => ({ series: subject, x: k, y: 100 * value }));
    });
  const kinds = (['hard', 'fuzzy', 'soft'] as const).filter((kind) => pointsOf(kind).length > 0);
  // One scale for all, so that the plots can be compared.
  const range = percentRange(kinds.flatMap(pointsOf));
  return kinds.map((kind) => ({
    title: `${set}: ${kind} thoughts, sampled`,
    x: { label: 'k (log scale)', log2: true },
    y: { label: `pass@k, % (${drawn})`, range },
    points: pointsOf(kind),
    dots: true,
  }));
}

/** Whole tens of per cent around all points, so that a difference of a few questions does not fill a plot. */
export function percentRange(points: readonly Point[]): [number, number] {
  const low = Math.min(90, 10 * Math.floor(Math.min(...points.map(({ y }) => y)) / 10));
  const high = 10 * Math.ceil(Math.max(...points.map(({ y }) => y)) / 10);
  return [low, Math.max(high, low + 10)];
}

/** Each series averaged over a window of a tenth of its length, centred, shorter at the ends. */
export function movingMean(points: readonly Point[]): Point[] {
  const series = [...new Set(points.map((point) => point.series))];
  return series.flatMap((name) => {
    const own = points.filter((point) => point.series === name);
    const half = Math.floor(own.length / 20);
    return own.map((point, i) => {
      const window = own.slice(Math.max(0, i - half), i + half + 1);
      return { ...point, y: window.reduce((sum, { y }) => sum + y, 0) / window.length };
    });
  });
}

/** A figure as an SVG element, drawn for a width in pixels. */
export function drawCurves(figure: Figure, width = 460): string {
  const { document } = parseHTML('<html><body></body></html>');
  const stroke = (point: Point) => `var(--${point.series})`;
  const ticks = figure.x.log2 ? { ticks: [...new Set(figure.points.map(({ x }) => x))] } : {};
  const svg = Plot.plot({
    document: document as unknown as NonNullable<Plot.PlotOptions['document']>,
    width,
    height: 280,
    marginTop: 32,
    marginLeft: 46,
    marginBottom: 40,
    style: { background: 'none', fontSize: '12px', fontFamily: 'inherit' },
    x: {
      label: figure.x.label,
      labelAnchor: 'center',
      labelArrow: 'none',
      type: figure.x.log2 ? 'log' : 'linear',
      ...(figure.x.log2 && { base: 2, tickFormat: 'd' }),
      ...ticks,
    },
    y: {
      label: figure.y.label,
      labelArrow: 'none',
      grid: true,
      ...(figure.y.range ? { domain: figure.y.range } : { nice: true }),
      type: figure.y.log10 ? 'log' : 'linear',
      ...(figure.y.log10 && { ticks: 4, tickFormat: '~s' }),
    },
    color: { type: 'identity' },
    marks: [
      Plot.line(figure.faint ?? [], { x: 'x', y: 'y', z: 'series', stroke, strokeWidth: 1, strokeOpacity: 0.3 }),
      ...[...new Set(figure.points.map(({ series }) => series))].map((series) =>
        Plot.line(
          figure.points.filter((point) => point.series === series),
          { x: 'x', y: 'y', stroke, strokeWidth: 2, ...(series === 'base' && { strokeDasharray: '5 4' }) },
        ),
      ),
      ...(figure.dots ? [Plot.dot(figure.points, { x: 'x', y: 'y', fill: stroke, r: 2.5 })] : []),
    ],
  });
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${figure.title}: ${figure.y.label} over ${figure.x.label}`);
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}
