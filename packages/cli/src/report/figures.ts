// Figures as data: the paper's from our runs, and the same of other models and sets.
import type { Mode, SettingName } from '@soft-tokens/samplers';
import { type SubjectName, tableModes } from '../jobs/tasks.js';
import type { Collection } from './collect.js';
import {
  type Axis,
  type ColorName,
  type Line,
  meanLine,
  movingMean,
  type Panel,
  type Point,
  percentRange,
  valueColor,
} from './draw.js';
import {
  bySeed,
  type Entry,
  type Group,
  groupBy,
  isPaperVariant,
  listOf,
  mainGroups,
  meanOver,
  ownSetOf,
  protocolOf,
  rangeText,
  seedsOf,
  setName,
  setsOf,
  variantText,
} from './groups.js';
import { paperModels } from './paperNumbers.js';
import { ablationFamilies, ablationText, settingOf } from './paperTables.js';
import type { Metrics } from './records.js';

export interface LegendItem {
  name: string;
  color: ColorName;
  dashed?: boolean;
}

export interface Figure {
  id: string;
  /** `Figure 3`, or `As figure 3` of a model or set that the paper does not have. */
  number: string;
  title: string;
  /** What is drawn, of how many questions, samples and seeds. */
  caption: string;
  legend: readonly LegendItem[];
  panels: readonly Panel[];
  /** Panels side by side where there is room. */
  columns: 2 | 3;
  /** Shown when asked for: of a set that the model was not trained for. */
  folded?: boolean;
}

/** The figures of a report, by what they show. */
export interface Figures {
  training: Figure[];
  passAtK: Figure[];
  entropy: Figure[];
  ablations: Figure[];
  /** Numbers of the paper's figures that no run of ours draws; the first is a scheme and none of them. */
  notRun: { number: number; title: string }[];
}

/** The paper's runs in the order of its figures: curves, pass@k and entropy have each a number. The order is our reading. */
const paperRuns: readonly { model: string; trainedOn: string; training: number; passAtK: number; entropy: number }[] = [
  { model: paperModels[0], trainedOn: 'gsm8k', training: 2, passAtK: 11, entropy: 4 },
  { model: paperModels[0], trainedOn: 'math', training: 7, passAtK: 12, entropy: 16 },
  { model: paperModels[0], trainedOn: 'deepscaler', training: 8, passAtK: 13, entropy: 17 },
  { model: paperModels[1], trainedOn: 'gsm8k', training: 9, passAtK: 14, entropy: 18 },
  { model: paperModels[2], trainedOn: 'math', training: 10, passAtK: 15, entropy: 19 },
];

type Kind = 'training' | 'passAtK' | 'entropy';
const examples: Record<Kind, number> = { training: 2, passAtK: 11, entropy: 4 };

/** The models trained on one set from one base, the base first. */
interface Family {
  model: string;
  trainedOn: string;
  groups: readonly Group[];
}

/** Fewer thoughts than these say little of a position. */
export const LEAST_THOUGHTS = 10;

export function reportFigures(collection: Collection, groups: readonly Group[]): Figures {
  const families = familiesOf(mainGroups(groups));
  const sets = setsOf(collection, 'sets');
  const training = families.flatMap(trainingFigures);
  const passAtK = families.flatMap((family) => passAtKFigures(family, sets));
  const entropy = families.flatMap((family) => sets.flatMap((set) => entropyFigure(family, set, sets)));
  const ablations = [6, 8, 7].flatMap((number) => ablationFigures(groups, number));
  const drawn = new Set([...training, ...passAtK, ...entropy, ...ablations].map(({ number }) => number));
  const all = [
    ...paperRuns.flatMap((run) =>
      (['training', 'passAtK', 'entropy'] as const).map((kind) => ({
        number: run[kind],
        title: `${kindTitles[kind]}, ${run.model} trained on ${setName(run.trainedOn)}`,
      })),
    ),
    { number: 3, title: `pass@k of hard inference, ${paperModels[0]} trained on ${setName('gsm8k')}` },
    { number: 5, title: 'training by noise scale and temperature' },
    { number: 6, title: 'training by placement of the noise' },
  ].sort((a, b) => a.number - b.number);
  const notRun = all.filter(({ number }) => !drawn.has(`Figure ${number}`));
  return { training, passAtK, entropy, ablations, notRun };
}

const kindTitles: Record<Kind, string> = {
  training: 'Training',
  passAtK: 'pass@k by inference',
  entropy: 'Entropy by position',
};

function familiesOf(groups: readonly Group[]): Family[] {
  const trained = groups.filter(({ trainedOn }) => trainedOn !== null);
  const order: readonly SubjectName[] = ['base', 'hard', 'fuzzy', 'soft'];
  const rank = ([first]: readonly Group[]) => {
    const run = paperRuns.findIndex(({ model, trainedOn }) => model === first!.model && trainedOn === first!.trainedOn);
    return run < 0 ? paperRuns.length : run;
  };
  const families = [...groupBy(trained, ({ model, trainedOn }) => JSON.stringify([model, trainedOn])).values()];
  families.sort((a, b) => rank(a) - rank(b));
  return families.map((own) => {
    const { model, trainedOn } = own[0]!;
    const base = groups.filter((group) => group.model === model && group.subject === 'base');
    const members = [...base, ...own].sort((a, b) => order.indexOf(a.subject) - order.indexOf(b.subject));
    return { model, trainedOn: trainedOn!, groups: members };
  });
}

/** The number of a figure, which is the paper's only where model, set and way of training are. */
function numberOf({ model, trainedOn, groups }: Family, kind: Kind): string {
  const run = paperRuns.find((each) => each.model === model && each.trainedOn === trainedOn);
  const paper = run && groups.some((group) => group.subject !== 'base' && isPaperVariant(group.variant, group.subject));
  return paper ? `Figure ${run[kind]}` : `As figure ${examples[kind]}`;
}

const titleOf = ({ model, trainedOn }: Family) => `${model} trained on ${setName(trainedOn)}`;
const slug = (...parts: string[]) => parts.join('-').replaceAll(/[^A-Za-z0-9.]+/g, '-');

/** The name of a group among others: its mode, with what else tells it from its kind. */
function nameOf(group: Group, all: readonly Group[]): string {
  const own = group.subject === 'base' ? 'base, not trained' : group.subject;
  const twins = all.filter(({ subject }) => subject === group.subject);
  const more = twins.length > 1 ? variantText(group, all) : '';
  return more === '' ? own : `${own}, ${more}`;
}

/** Colours of groups: of their modes; where a mode is there twice, the later ones are dashed too. */
function styleOf(group: Group, all: readonly Group[]): Omit<LegendItem, 'name'> {
  const twins = all.filter(({ subject }) => subject === group.subject);
  const dashed = group.subject === 'base' || twins.indexOf(group) > 0;
  return { color: group.subject, ...(dashed && { dashed }) };
}

const capital = (text: string) => `${text[0]!.toUpperCase()}${text.slice(1)}`;

type Step = Extract<Metrics, { type: 'step' }>;

function logOf({ run }: Entry, mode: SubjectName): readonly Metrics[] {
  return run.logs.find((log) => log.mode === mode)?.records ?? [];
}

const stepsOf = (entry: Entry, mode: SubjectName, y: (step: Step) => number | null): Point[] =>
  logOf(entry, mode).flatMap((record) => {
    const value = record.type === 'step' ? y(record) : null;
    return value !== null && Number.isFinite(value) ? [{ x: record.step, y: value }] : [];
  });

const validationsOf = (entry: Entry, mode: SubjectName): Point[] =>
  logOf(entry, mode).flatMap((record) =>
    record.type === 'validation' && record.accuracy !== null ? [{ x: record.step, y: 100 * record.accuracy }] : [],
  );

/** What of a log a panel shows. */
interface Curve {
  title: string;
  y(samples: string): Axis;
  points(entry: Entry, mode: SubjectName): Point[];
  /** Whether single steps are too rough to be read. */
  smooth: boolean;
  dots?: boolean;
}

const curves: Record<'reward' | 'validation' | 'norm' | 'length', Curve> = {
  reward: {
    title: 'Reward under its own sampling',
    y: (samples) => ({ label: `reward, 0 to 100 (mean of ${samples})` }),
    points: (entry, mode) => stepsOf(entry, mode, ({ reward }) => reward),
    smooth: true,
  },
  validation: {
    title: 'Greedy validation',
    y: () => ({ label: 'correct, %' }),
    points: validationsOf,
    smooth: false,
    dots: true,
  },
  norm: {
    title: 'Gradient norm',
    y: () => ({ label: 'global norm of the gradient (log scale)', scale: 'log10' }),
    points: (entry, mode) => stepsOf(entry, mode, ({ gradientNorm }) => gradientNorm).filter(({ y }) => y > 0),
    smooth: true,
  },
  length: {
    title: 'Length of a thought',
    y: (samples) => ({ label: `tokens (mean of ${samples})` }),
    points: (entry, mode) => stepsOf(entry, mode, ({ thoughtTokens }) => thoughtTokens),
    smooth: true,
  },
};

/** A curve of some groups: a bold mean over the seeds, and each seed thin behind it. */
function curvePanel(curve: Curve, groups: readonly Group[], style: (group: Group) => LegendItem): Panel | undefined {
  const lines = groups.flatMap((group): Line[] => {
    const all = bySeed(group.entries)
      .map((entry) => curve.points(entry, group.subject))
      .filter((points) => points.length > 0);
    if (all.length === 0) return [];
    const shown = curve.smooth ? all.map(movingMean) : all;
    // Of one seed the single steps are the thin line, of several their moving means: more would be a cloud.
    const thin = all.length > 1 ? shown : curve.smooth ? all : [];
    return [
      // Hundreds of single steps are a cloud however thin they are.
      ...thin.map((points) => ({ ...style(group), thin: true, ...(points.length > 150 && { opacity: 0.18 }), points })),
      { ...style(group), points: meanLine(shown) },
    ];
  });
  if (lines.length === 0) return undefined;
  const y = curve.y(samplesText(groups));
  const range = y.label.endsWith('%') ? { range: percentRange(lines.flatMap(({ points }) => points)) } : {};
  return {
    title: curve.title,
    x: { label: 'training step' },
    y: { ...y, ...range },
    lines,
    ...(curve.dots && { dots: true }),
  };
}

function samplesText(groups: readonly Group[]): string {
  const counts = new Set(
    groups.flatMap(({ entries }) => entries.map(({ run: { config } }) => config.questionsPerStep * config.samples)),
  );
  return counts.size === 1 ? `${[...counts][0]} samples` : 'all samples of a step';
}

/** Reward and validation of each mode, then gradient norm and thought length. */
function trainingFigures(family: Family): Figure[] {
  const groups = family.groups.filter(({ subject }) => subject !== 'base');
  const style = (group: Group): LegendItem => ({ name: nameOf(group, groups), ...styleOf(group, groups) });
  const panels = Object.values(curves).flatMap((curve) => curvePanel(curve, groups, style) ?? []);
  if (panels.length === 0) return [];
  return [
    {
      id: slug('training', family.model, family.trainedOn),
      number: numberOf(family, 'training'),
      title: `Training: ${titleOf(family)}`,
      caption: trainingCaption(groups, 'Rewards, norms and lengths'),
      legend: groups.map(style),
      panels,
      columns: 2,
    },
  ];
}

function trainingCaption(groups: readonly Group[], smooth: string): string {
  const entries = groups.flatMap((group) => bySeed(group.entries).map((entry) => ({ entry, mode: group.subject })));
  const questions = new Set(
    entries.flatMap(({ entry, mode }) =>
      logOf(entry, mode).flatMap((record) => (record.type === 'validation' ? [record.questions] : [])),
    ),
  );
  const seeds = groups
    .map(({ entries: own, subject }) => bySeed(own).filter((entry) => logOf(entry, subject).length > 0).length)
    .filter((count) => count > 0);
  const several = Math.max(...seeds) > 1;
  const going = [...new Set(entries.filter(({ entry }) => !entry.run.results).map(({ entry }) => entry.run.name))];
  return [
    `${smooth}: moving means over a tenth of the steps, ${samplesText(groups)} a step.`,
    ...(questions.size > 0 ? [`Validation: ${[...questions].join(' or ')} questions, greedy.`] : []),
    several
      ? `Bold: mean of ${rangeText(seeds)}, as far as all of them have come; thin: each seed.`
      : 'One seed; thin: single steps.',
    ...(going.length > 0 ? [`Not finished: ${listOf(going)}.`] : []),
  ].join(' ');
}

/** pass@k of every model under each kind of inference, a row of panels a test set. */
function passAtKFigures(family: Family, sets: readonly string[]): Figure[] {
  const number = numberOf(family, 'passAtK');
  const all = (of: readonly Mode[]) => sets.flatMap((set) => passAtKPanels(family, set, of));
  const full = all(tableModes);
  if (full.length === 0) return [];
  const figure = (id: string, title: string, panels: Panel[], own: string, columns: 2 | 3): Figure => ({
    id: slug(id, family.model, family.trainedOn),
    number: own,
    title: `${title}: ${titleOf(family)}`,
    caption: passAtKCaption(family, sets),
    legend: family.groups.map((group) => ({ name: nameOf(group, family.groups), ...styleOf(group, family.groups) })),
    panels,
    columns,
  });
  const hard = number === 'Figure 11' ? all(['hard']) : [];
  return [
    ...(hard.length > 0 ? [figure('hard', 'pass@k, hard inference', hard, 'Figure 3', 3)] : []),
    figure('pass', 'pass@k', full, number, 3),
  ];
}

function passAtKPanels({ groups }: Family, set: string, of: readonly Mode[]): Panel[] {
  if (!isTested(groups, set)) return [];
  const panels = of.map((kind) => ({
    kind,
    lines: groups.flatMap((group): Line[] => {
      const points = passAtKPoints(comparable(group, groups, set), set, `${kind}-sample`);
      return points.length > 0 ? [{ name: nameOf(group, groups), ...styleOf(group, groups), points }] : [];
    }),
  }));
  const drawn = panels.filter(({ lines }) => lines.length > 0);
  // One scale for all of a set, so that the panels can be compared.
  const range = percentRange(drawn.flatMap(({ lines }) => lines.flatMap(({ points }) => points)));
  return drawn.map(({ kind, lines }) => ({
    title: `${setName(set)}, ${kind} thoughts sampled`,
    x: { label: 'k, samples (log scale)', scale: 'log2' },
    y: { label: 'pass@k, %', range },
    lines,
    dots: true,
  }));
}

/** Whether any trained model of a family was tested on a set: the base alone, tested by runs on others, is no figure. */
const isTested = (groups: readonly Group[], set: string): boolean =>
  groups.some(
    ({ subject, entries }) => subject !== 'base' && entries.some((entry) => protocolOf(entry, set) !== undefined),
  );

/** The entries of a group that were tested as most of its family were: other protocols are in the tables alone. */
function comparable(group: Group, all: readonly Group[], set: string): Entry[] {
  const protocol = commonProtocol(all, set);
  return bySeed(group.entries.filter((entry) => protocolOf(entry, set) === protocol));
}

function commonProtocol(groups: readonly Group[], set: string): string | undefined {
  const counts = groupBy(
    groups.flatMap(({ entries }) => entries.flatMap((entry) => protocolOf(entry, set) ?? [])),
    (text) => text,
  );
  return [...counts.values()].sort((a, b) => b.length - a.length)[0]?.[0];
}

function passAtKPoints(entries: readonly Entry[], set: string, setting: SettingName): Point[] {
  const curves = entries.flatMap((entry) => settingOf(entry, set, setting) ?? []);
  return (curves[0]?.passAtK ?? []).flatMap(({ k }) => {
    const value = meanOver(
      curves.flatMap(({ passAtK }) => passAtK.find((point) => point.k === k) ?? []),
      100,
    );
    if (!value) return [];
    const { mean, low, high } = value;
    return [{ x: k, y: mean, ...(low !== undefined && high !== undefined && { low, high }) }];
  });
}

function passAtKCaption({ groups }: Family, sets: readonly string[]): string {
  const texts = sets.flatMap((set) => {
    if (!isTested(groups, set)) return [];
    const used = groups.map((group) => comparable(group, groups, set)).filter((entries) => entries.length > 0);
    const protocol = commonProtocol(groups, set);
    if (used.length === 0 || protocol === undefined) return [];
    const others = new Set(groups.flatMap(({ entries }) => entries.flatMap((entry) => protocolOf(entry, set) ?? [])));
    const rest = others.size > 1 ? ' (other protocols are in the tables alone)' : '';
    return [`${setName(set)}: ${protocol}, ${seedsOf(used)}${rest}.`];
  });
  return (
    'The chance that at least one of k samples is right, estimated without bias; bands: 95 % bootstrap interval over ' +
    `questions, of several seeds the mean of their bounds. ${texts.join(' ')}`
  );
}

const settingText = (setting: SettingName): string => setting.replace('-', ' ');
const inferenceDash = (setting: SettingName) => (setting.endsWith('greedy') ? { dashed: true } : {});

/** The test set of what a family was trained on: that of its name, of MATH and DeepScaleR MATH-500, or the first. */
function homeSet({ trainedOn, groups }: Family, sets: readonly string[]): string | undefined {
  const tested = sets.filter((set) => isTested(groups, set));
  const own = ownSetOf(trainedOn);
  return tested.includes(own) ? own : tested[0];
}

/** Entropy by position: a panel a way of training, a line an inference setting, fainter ones the further seeds. */
function entropyFigure(family: Family, set: string, sets: readonly string[]): Figure[] {
  if (!isTested(family.groups, set)) return [];
  const settings = tableModes.flatMap((kind): SettingName[] => [`${kind}-sample`, `${kind}-greedy`]);
  const drafts = family.groups.map((group) => {
    const entries = comparable(group, family.groups, set);
    const lines = entries.flatMap((entry, i) =>
      settings.flatMap((setting): Line[] => {
        const points = entropyPoints(entry, set, setting);
        const color = setting.split('-')[0] as ColorName;
        const name = `${settingText(setting)}, seed ${entry.seed}`;
        const opacity = Math.max(0.3, 1 - 0.3 * i);
        return points.length > 0 ? [{ name, color, ...inferenceDash(setting), opacity, points }] : [];
      }),
    );
    return { group, entries, lines };
  });
  const drawn = drafts.filter(({ lines }) => lines.length > 0);
  if (drawn.length === 0) return [];
  const points = drawn.flatMap(({ lines }) => lines.flatMap((line) => line.points));
  const most = points.reduce((top, { y }) => Math.max(top, y), 0.1);
  const longest = points.reduce((most, { x }) => Math.max(most, x), 1);
  const thoughts = drawn.flatMap(({ entries }) =>
    entries.flatMap((entry) => settings.map((setting) => settingOf(entry, set, setting)?.entropy.count[0] ?? 0)),
  );
  const used = settings.filter((setting) =>
    drawn.some(({ lines }) => lines.some(({ name }) => name.startsWith(settingText(setting)))),
  );
  const unit = most > 2 ? 0.5 : 0.1;
  const top = unit * Math.ceil(most / unit);
  const trained = (name: string) => (name.startsWith('base') ? 'Base, not trained' : `${capital(name)} training`);
  const panels = drawn.map(
    ({ group, lines }): Panel => ({
      title: trained(nameOf(group, family.groups)),
      x: { label: 'position in the thought, tokens', range: [1, longest] },
      y: { label: 'entropy, nats', range: [0, top] },
      lines,
    }),
  );
  const seeds = drawn.map(({ entries }) => entries.length);
  const home = set === homeSet(family, sets);
  const number = home ? numberOf(family, 'entropy') : 'As figure 4';
  return [
    {
      id: slug('entropy', family.model, family.trainedOn, set),
      number,
      title: `Entropy by position on ${setName(set)}: ${titleOf(family)}`,
      caption:
        'Mean entropy of the next-token distribution at temperature 1, over the first few thoughts of each question, at ' +
        `most ${Math.max(...thoughts)} a curve; a curve ends where fewer than ${LEAST_THOUGHTS} of them reach. ${commonProtocol(family.groups, set)}, ` +
        `${seedsOf(drawn.map(({ entries }) => entries))}${Math.max(...seeds) > 1 ? ', each further one fainter' : ''}.`,
      legend: used.map((setting) => ({
        name: settingText(setting),
        color: setting.split('-')[0] as ColorName,
        ...inferenceDash(setting),
      })),
      panels,
      columns: 2,
      ...(!home && { folded: true }),
    },
  ];
}

function entropyPoints(entry: Entry, set: string, setting: SettingName): Point[] {
  const { mean = [], count = [] } = settingOf(entry, set, setting)?.entropy ?? {};
  const end = count.findIndex((thoughts) => thoughts < LEAST_THOUGHTS);
  return mean.slice(0, end < 0 ? mean.length : end).flatMap((y, x) => (y === null ? [] : [{ x: x + 1, y }]));
}

/** Figures 5 and 6: training by the values of what an ablation varies. */
function ablationFigures(groups: readonly Group[], number: number): Figure[] {
  return ablationFamilies(groups, number).flatMap((members) => {
    const { title, rank, text } = ablationText(number);
    const family = members.toSorted((a, b) => rank(a.variant) - rank(b.variant));
    const style = (group: Group): LegendItem => ({
      name: text(group.variant),
      color: valueColor(family.indexOf(group)),
    });
    const panels = [curves.reward, curves.validation].flatMap((curve) => curvePanel(curve, family, style) ?? []);
    if (panels.length === 0) return [];
    const { model, trainedOn, subject } = family[0]!;
    const paper = model === paperModels[0] && trainedOn === 'gsm8k';
    const figure = number === 7 ? 6 : 5;
    return [
      {
        id: slug('ablation', String(number), model, trainedOn!, subject),
        number: paper ? `Figure ${figure}` : `As figure ${figure}`,
        title: `${title}: ${model} trained on ${setName(trainedOn!)} in ${subject} thoughts`,
        caption: trainingCaption(family, 'Rewards'),
        legend: family.map(style),
        panels,
        columns: 2,
      },
    ];
  });
}
