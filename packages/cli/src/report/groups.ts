// Runs that differ by nothing but their seed are one group; its numbers are means over them.
import { meanInterval } from '@soft-tokens/metrics';
import { type Mode, paperTemperatures } from '@soft-tokens/samplers';
import type { SubjectName } from '../jobs/tasks.js';
import type { Collection, Run } from './collect.js';
import { PAPER_FACTOR, paperChoiceSets, paperSets } from './paperNumbers.js';
import type { Config, ModelRecord } from './records.js';

/** How a model was trained, but for its seed. Of the base model nothing is set. */
export interface Variant {
  /** Noise of soft and fuzzy thoughts as a multiple of the rms of what it is added to, and where it enters. */
  factor?: number;
  placement?: string;
  /** τ of the thoughts. */
  temperature?: number;
  /** Every other key of the recipe that changes what is trained, dotted. */
  other: Readonly<Record<string, string>>;
}

/** One model of one run. */
export interface Entry {
  run: Run;
  subject: SubjectName;
  /** None before the run is finished. */
  record?: ModelRecord;
  /** What makes it another sample of its group: the training seed, or for the base model the one of its evaluation. */
  seed: number;
}

/** The same model, set, mode and variant under several seeds. */
export interface Group {
  model: string;
  trainedOn: string | null;
  subject: SubjectName;
  variant: Variant;
  entries: readonly Entry[];
}

/** A mean over seeds, in the unit of its column. */
export interface Value {
  mean: number;
  /** Over the seeds, divisor n - 1; none of one seed. */
  sd?: number;
  /** Seeds. */
  n: number;
  /** 95 % interval over questions; of several seeds the mean of their bounds. */
  low?: number;
  high?: number;
}

/** Keys that say where, how fast or how often, not what is trained; or that the protocol has. */
const notTraining =
  /^(model|modes|seed|workers|engine|recompute|maxTokens|checkpointEvery|evaluate|data\.(test|maxMalformed))(\.|$)/;
/** Keys that the variant has besides. */
const ofVariant = /^(noise|temperature)\./;

/** The models of all runs by what they are. Runs of the same seed are the same run: the first counts. */
export function groupsOf(runs: readonly Run[]): Group[] {
  const groups = new Map<string, Group & { entries: Entry[] }>();
  for (const run of runs) {
    const subjects: SubjectName[] = [...(run.results?.evaluation ? ['base' as const] : []), ...run.config.modes];
    for (const subject of subjects) {
      const base = subject === 'base';
      const variant = base ? { other: {} } : variantOf(run.config, subject);
      const trainedOn = base ? null : run.trainedOn;
      const key = JSON.stringify([run.model, trainedOn, subject, variant]);
      const group = groups.get(key) ?? { model: run.model, trainedOn, subject, variant, entries: [] };
      groups.set(key, group);
      const record = run.results?.models.find((model) => model.subject === subject);
      const seed = base ? run.results!.evaluation!.seed : run.seed;
      group.entries.push({ run, subject, ...(record && { record }), seed });
    }
  }
  return [...groups.values()];
}

function variantOf(config: Config, mode: Mode): Variant {
  const { factor, scale, placement = 'embedding', k } = config.noise;
  const where = placement === 'topk' ? `topk ${k}` : scale === 'row' ? `${placement} rows` : placement;
  const { optimizer, ...rest } = config as Config & { optimizer?: { learningRate?: unknown } };
  const rate = optimizer?.learningRate;
  const own = typeof rate === 'object' && rate !== null ? (rate as Record<string, unknown>)[mode] : rate;
  const recipe = recipeOf({ ...rest, optimizer: { ...optimizer, learningRate: own } });
  return {
    ...(mode !== 'hard' && { factor, placement: where }),
    temperature: config.temperature[mode] ?? paperTemperatures[mode],
    other: Object.fromEntries(Object.entries(recipe).filter(([key]) => !ofVariant.test(key))),
  };
}

/** What a configuration says of the training of all its modes, dotted and sorted; the same of runs of several seeds. */
export function recipeOf(config: object): Record<string, string> {
  const entries = Object.entries(flatten(config)).filter(([key]) => !notTraining.test(key));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Nested keys as dotted ones; of a path its last part, since folders lie anywhere. */
function flatten(value: object, path = ''): Record<string, string> {
  const entries = Object.entries(value).flatMap(([key, item]): [string, string][] => {
    const full = path === '' ? key : `${path}.${key}`;
    if (item === undefined || item === null) return [];
    if (Array.isArray(item)) return [[full, item.join(', ')]];
    if (typeof item === 'object') return Object.entries(flatten(item, full));
    return [[full, typeof item === 'string' ? item.split(/[/\\]/).at(-1)! : String(item)]];
  });
  return Object.fromEntries(entries);
}

/** Whether a variant is what the paper trains everywhere but in its ablations. */
export function isPaperVariant({ factor, placement, temperature }: Variant, subject: SubjectName): boolean {
  if (subject === 'base') return true;
  const noisy = subject !== 'hard';
  return (
    (!noisy || (factor === PAPER_FACTOR && placement === 'embedding')) && temperature === paperTemperatures[subject]
  );
}

/** Noise and temperature, which the ablations vary. */
const ablated = ({ factor, placement, temperature }: Variant): string =>
  JSON.stringify([factor, placement, temperature]);

/**
 * The groups that are not ablations: of each model, set and mode those trained as the paper's are, or where there are
 * none, as most seeds were.
 */
export function mainGroups(groups: readonly Group[]): Group[] {
  const families = groupBy(groups, ({ model, trainedOn, subject }) => JSON.stringify([model, trainedOn, subject]));
  return [...families.values()].flatMap((family) => {
    const own = family.find(({ variant, subject }) => isPaperVariant(variant, subject));
    const counts = groupBy(family, ({ variant }) => ablated(variant));
    const seeds = (of: readonly Group[]) => of.reduce((sum, { entries }) => sum + entries.length, 0);
    const most = [...counts.entries()].sort(([, a], [, b]) => seeds(b) - seeds(a))[0]![0];
    const chosen = own ? ablated(own.variant) : most;
    return family.filter(({ variant }) => ablated(variant) === chosen);
  });
}

const placementNames: Record<string, string> = {
  embedding: 'embedding',
  'embedding rows': "embedding's rows",
  hidden: 'final hidden states',
  logits: 'logits',
};

/** The order of placements: the paper's, then its top-k logits by k. */
export function placementRank({ placement = 'embedding' }: { placement?: string }): number {
  const known = Object.keys(placementNames);
  const rank = known.indexOf(placement);
  return rank >= 0 ? rank : known.length + Number(/\d+/.exec(placement)?.[0] ?? 0);
}

/** Where noise enters, in words. */
export const placementText = (placement: string): string =>
  placementNames[placement] ?? placement.replace(/^topk (\d+)$/, 'top-$1 logits');

/** How a group was trained, where that is not the paper's way or differs from other groups of its kind. */
export function variantText({ variant, subject, ...group }: Group, all: readonly Group[]): string {
  const { factor, placement, temperature, other } = variant;
  const siblings = all.filter(
    (each) => each.model === group.model && each.trainedOn === group.trainedOn && each.subject === subject,
  );
  const keys = Object.keys(other).filter((key) => siblings.some((each) => each.variant.other[key] !== other[key]));
  const parts = [
    ...(factor !== undefined && factor !== PAPER_FACTOR ? [`noise ${factor}`] : []),
    ...(placement !== undefined && placement !== 'embedding' ? [`noise on ${placementText(placement)}`] : []),
    ...(subject !== 'base' && temperature !== paperTemperatures[subject] ? [`τ ${temperature}`] : []),
    ...keys.map((key) => `${key.split('.').at(-1)} ${other[key]}`),
  ];
  return parts.join(', ');
}

/** Test sets by what they are, so that the paper's are found whatever a recipe calls them. */
export function setId(run: Run, name: string, kind: 'sets' | 'outOfDomain' = 'sets'): string {
  const of = sectionOf(run, name, kind)?.kind;
  const known: readonly string[] = kind === 'sets' ? Object.keys(paperSets) : paperChoiceSets;
  if (typeof of !== 'string' || !known.includes(of)) return name;
  const alike = Object.values(sectionsOf(run, kind)).filter((section) => section.kind === of);
  return alike.length > 1 ? name : of;
}

/** The test set of what a model was trained on: that of its name, of MATH and DeepScaleR MATH-500. */
export const ownSetOf = (trainedOn: string): string =>
  ['math', 'deepscaler'].includes(trainedOn) ? 'math500' : trainedOn;

/** The sets that any run of a group was tested on, by what they are. */
export const testedOn = ({ entries }: Group, kind: 'sets' | 'outOfDomain'): string[] => [
  ...new Set(entries.flatMap(({ run, record }) => record?.[kind].map(({ set }) => setId(run, set, kind)) ?? [])),
];

type Section = Record<string, unknown>;

/** The data sections of a run's test sets, by name. */
function sectionsOf({ config, trainedOn }: Run, kind: 'sets' | 'outOfDomain'): Record<string, Section> {
  const evaluate = config.evaluate as Record<string, Record<string, Section> | undefined> | undefined;
  return evaluate?.[kind] ?? (kind === 'sets' ? { [trainedOn]: config.data } : {});
}

const sectionOf = (run: Run, name: string, kind: 'sets' | 'outOfDomain'): Section | undefined =>
  sectionsOf(run, kind)[name];

/** What a set is of, so that other questions of the same name are not taken for the same. */
function questionsText(run: Run, name: string, kind: 'sets' | 'outOfDomain', count: number): string {
  const flat = flatten(sectionOf(run, name, kind) ?? {});
  const keys = flat.kind === 'arithmetic' ? ['levels', 'seed'] : ['test', 'limit'];
  const details = keys.flatMap((key) =>
    flat[key] === undefined ? [] : [`${key === 'test' ? '' : `${key} `}${flat[key]}`],
  );
  return `${count} questions${details.length > 0 ? ` (${details.join(', ')})` : ''}`;
}

/**
 * How an entry was tested on some sets, in words; undefined where it was on none. Entries of other words are not averaged
 * or compared.
 */
export function protocolOf({ run, record }: Entry, ...sets: string[]): string | undefined {
  const { evaluation } = run.results ?? {};
  const questions = sets.flatMap((set) => {
    const tested = record?.sets.find((each) => setId(run, each.set) === set);
    if (!tested) return [];
    const text = questionsText(run, tested.set, 'sets', tested.questions);
    return [sets.length > 1 ? `${setName(set)}: ${text}` : text];
  });
  if (!evaluation || questions.length === 0) return undefined;
  const { samples, noise, caps } = evaluation;
  return [
    ...questions,
    `${samples} samples`,
    `thoughts of at most ${caps.thought} tokens, answers of ${caps.answer}`,
    `noise ${noise.factor} rms of the embedding${noise.scale === 'row' ? "'s rows" : ''}`,
    ...(typeof run.config.prompt === 'string' ? [`prompt ${run.config.prompt}`] : []),
  ].join(', ');
}

/** The same of a choice set. */
export function choiceProtocolOf({ run, record }: Entry, set: string): string | undefined {
  const tested = record?.outOfDomain.find((each) => setId(run, each.set, 'outOfDomain') === set);
  return tested && questionsText(run, tested.set, 'outOfDomain', tested.questions);
}

/** Entries of one seed each: of the base model, which every run tests again, the first of a seed. */
export function bySeed(entries: readonly Entry[]): Entry[] {
  return [...new Map(entries.toReversed().map((entry) => [entry.seed, entry])).values()].sort(
    (a, b) => a.seed - b.seed,
  );
}

/** A number of one run with its interval over questions. */
export interface Measured {
  value: number;
  low?: number | null;
  high?: number | null;
}

/** The mean of what is measured in several runs, times a scale; undefined of none. */
export function meanOver(measured: readonly Measured[], scale = 1): Value | undefined {
  const finite = measured.filter(({ value }) => Number.isFinite(value));
  if (finite.length === 0) return undefined;
  const { mean, sd, n } = meanInterval(finite.map(({ value }) => scale * value));
  const bound = (of: 'low' | 'high') => {
    const values = finite.map((each) => each[of] ?? Number.NaN);
    const sum = values.reduce((total, value) => total + value, 0);
    return Number.isFinite(sum) ? (scale * sum) / values.length : undefined;
  };
  const [low, high] = [bound('low'), bound('high')];
  return { mean, n, ...(n > 1 && { sd }), ...(low !== undefined && high !== undefined && { low, high }) };
}

/** Items by a key, both in the order they come. */
export function groupBy<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** A list in words. */
export function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

const names: Record<string, string> = {
  gsm8k: 'GSM8K',
  math: 'MATH',
  deepscaler: 'DeepScaleR',
  math500: 'MATH-500',
  olympiadbench: 'OlympiadBench',
  hellaswag: 'HellaSwag',
  arc: 'ARC',
  mmlu: 'MMLU',
  aime: 'AIME',
  amc: 'AMC',
};

/** A set's own spelling. */
export const setName = (set: string): string => names[set] ?? set;

/** Test sets in the paper's order, then others as they come. */
export function setsOf({ runs }: Collection, kind: 'sets' | 'outOfDomain'): string[] {
  const found = new Set(
    runs.flatMap(
      (run) => run.results?.models.flatMap((model) => model[kind].map(({ set }) => setId(run, set, kind))) ?? [],
    ),
  );
  const known: readonly string[] = kind === 'sets' ? Object.keys(paperSets) : paperChoiceSets;
  return [...known.filter((set) => found.has(set)), ...[...found].filter((set) => !known.includes(set))];
}

/** A number of seeds, in words. */
export const seedsText = (count: number): string => `${count} ${count === 1 ? 'seed' : 'seeds'}`;

/** The seeds of several rows or lines, in words. */
export const rangeText = (counts: readonly number[]) => {
  const [low, high] = [Math.min(...counts), Math.max(...counts)];
  return low === high ? seedsText(low) : `${low} to ${high} seeds`;
};

/** The seeds of the lines of a figure; the base model, which no training seed changes, often has fewer. */
export function seedsOf(drawn: readonly (readonly Entry[])[]): string {
  const counts = (base: boolean) =>
    drawn.flatMap((entries) => ((entries[0]?.subject === 'base') === base ? [entries.length] : []));
  const texts = [counts(true), counts(false)].flatMap((own) => (own.length > 0 ? [rangeText(own)] : []));
  return new Set(texts).size > 1 ? `${texts[0]} of the base model, ${texts[1]} of each trained one` : texts[0]!;
}

/** The runs that a report is of, in words. */
export function runsText(runs: readonly Run[]): string {
  const models = [...new Set(runs.map(({ model }) => model))];
  const sets = [...new Set(runs.map(({ trainedOn }) => setName(trainedOn)))];
  const seeds = new Set(runs.map(({ seed }) => seed)).size;
  const count = runs.length === 1 ? 'One run' : `${runs.length} runs`;
  return `${count} of ${listOf(models)} on ${listOf(sets)}, ${seedsText(seeds)}.`;
}
