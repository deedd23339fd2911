// What came of a sweep, as text of 80 columns, as Markdown and as CSV.
import { match } from 'ts-pattern';
import { formatTable, percent, wrap } from '../table.js';
import type { Group, Measure } from './aggregate.js';
import type { SweepResults } from './run.js';

/** A column of a table: the measure of a row's model that it shows. */
interface Column {
  heading: string;
  metric: string;
  set: string | null;
  setting: string | null;
}

/** A table: its columns, and in words what they are. */
interface Block {
  title: string;
  columns: Column[];
  /** Whether the base model has what is in it. */
  base: boolean;
}

const WIDTH = 80;

/** The order of thoughts in the paper's tables. */
const kinds = ['hard', 'fuzzy', 'soft'];

/** The order of rows: how a model was trained. */
const subjects = ['base', 'hard', 'fuzzy', 'soft'];

/** Every table of a sweep, in lines of at most 80 columns. */
export function sweepText(results: SweepResults): string {
  const blocks = blocksOf(results);
  const tables = blocks.flatMap((block) => textTables(results.groups, block));
  return [...tables, ...legend(results, blocks), ...missingRuns(results)].join('\n\n');
}

/** The same tables in Markdown, each whole. */
export function sweepMarkdown(results: SweepResults): string {
  const keys = Object.keys(results.groups[0]?.labels ?? {});
  const row = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const tables = blocksOf(results).map((block) => {
    const headings = [...keys, 'trained', 'seeds', ...block.columns.map(({ heading }) => heading)];
    const rows = results.groups.flatMap((group) =>
      subjectsOf(group, block).map((subject) => [
        ...keys.map((key) => group.labels[key]!),
        trainedName(subject),
        seedsOf(group),
        ...block.columns.map((column) => cellOf(group, subject, column)),
      ]),
    );
    const rule = headings.map((_, i) => (i <= keys.length ? '---' : '---:'));
    return `${block.title}\n\n${[headings, rule, ...rows].map(row).join('\n')}`;
  });
  const notes = [...legend(results, blocksOf(results)), ...missingRuns(results)];
  return [`# ${results.name}`, ...tables, ...notes].join('\n\n');
}

/** A row for each group, model, set, setting and metric; shares 0 to 1, likelihoods in nats. */
export function sweepCsv({ groups }: SweepResults): string {
  const keys = Object.keys(groups[0]?.labels ?? {});
  const header = [...keys, 'subject', 'set', 'setting', 'metric', 'mean', 'sd', 'n', 'runs'];
  const rows = groups.flatMap(({ labels, runs, measures }) =>
    measures.map(({ subject, set, setting, metric, mean, sd, n }) => [
      ...keys.map((key) => labels[key]!),
      ...[subject, set, setting, metric, mean, sd, n, runs.length].map((cell) => String(cell ?? '')),
    ]),
  );
  // RFC 4180: quotes around what holds a comma, a quote or a line break, quotes within doubled.
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [header, ...rows].map((row) => `${row.map(cell).join(',')}\n`).join('');
}

function blocksOf({ groups, questions }: SweepResults): Block[] {
  const measures = groups.flatMap((group) => group.measures);
  const of = (wanted: (measure: Measure) => boolean, heading: (measure: Measure) => string): Column[] => {
    const columns = new Map<string, Column>();
    for (const measure of measures.filter(wanted)) {
      const { metric, set, setting } = measure;
      columns.set(JSON.stringify([metric, set, setting]), { heading: heading(measure), metric, set, setting });
    }
    return [...columns.values()];
  };
  const training = of(
    ({ set }) => set === null,
    ({ metric }) => metric,
  );
  const sets = unique(measures.flatMap(({ set, setting }) => (set !== null && setting !== null ? [set] : [])));
  const tests = sets.map((set) => ({
    title: `${set}: % correct of ${questions[set]} questions`,
    columns: of((measure) => measure.set === set && measure.setting !== null, settingHeading).sort(byPaper),
    base: true,
  }));
  const choices = (metric: string, title: string): Block => ({
    title,
    columns: of(
      ({ set, setting, metric: own }) => set !== null && setting === null && own === metric,
      ({ set }) => set!,
    ),
    base: true,
  });
  return [
    { title: 'training: mean reward, and greedy validation, %', columns: training, base: false },
    ...tests,
    choices('accuracy', 'out of domain: likeliest choice, % correct'),
    choices('normalized', 'out of domain: likeliest choice per character, % correct'),
    choices('nll', 'out of domain: negative log-likelihood of the right choice, nats a token'),
  ].filter(({ columns }) => columns.length > 0);
}

/** HG, HS1, HS32, HM32: Hard thoughts, Greedy, Sampled with k of pass@k, Majority. */
function settingHeading({ setting, metric }: Measure): string {
  const [kind, how] = setting!.split('-');
  const [name, k] = metric.split('@');
  const letter = match([how, name])
    .with(['greedy', 'pass'], () => 'G')
    .with(['sample', 'pass'], () => `S${k}`)
    .otherwise(() => `M${k}`);
  return kind![0]!.toUpperCase() + letter;
}

/** What is one sample's first, then the many; within each as the paper has it. */
function byPaper(a: Column, b: Column): number {
  const place = ({ metric, setting }: Column) => [
    Number(metric.startsWith('majority')),
    Number(metric.split('@')[1]),
    kinds.indexOf(setting!.split('-')[0]!),
    Number(setting!.endsWith('-sample')),
  ];
  const [x, y] = [place(a), place(b)];
  const differs = x.findIndex((value, i) => value !== y[i]);
  return differs < 0 ? 0 : x[differs]! - y[differs]!;
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

/** The models of a group that a table is about. */
function subjectsOf({ measures }: Group, { columns, base }: Block): string[] {
  const has = (subject: string) =>
    measures.some((measure) => measure.subject === subject && columns.some((column) => isOf(measure, column)));
  return subjects.filter((subject) => (base || subject !== 'base') && has(subject));
}

const isOf = (measure: Measure, { metric, set, setting }: Column) =>
  measure.metric === metric && measure.set === set && measure.setting === setting;

const trainedName = (subject: string) => (subject === 'base' ? 'none' : subject);

/** `71.4±0.8`, with the number of runs where it is not the group's: `71.4±0.8 (2)`. */
function cellOf(group: Group, subject: string, column: Column): string {
  const measure = group.measures.find((each) => each.subject === subject && isOf(each, column));
  if (!measure) return '';
  if (measure.mean === null) return 'missing';
  const finished = group.runs.length - group.missing.length;
  const show = (value: number) =>
    match(column.metric)
      .with('nll', () => value.toFixed(3))
      .with('reward first', 'reward last', () => value.toFixed(1))
      .otherwise(() => percent(value));
  const spread = measure.sd === null ? '' : `±${show(measure.sd)}`;
  return `${show(measure.mean)}${spread}${measure.n === finished ? '' : ` (${measure.n})`}`;
}

function seedsOf({ runs, missing }: Group): string {
  return missing.length === 0 ? String(runs.length) : `${runs.length - missing.length} of ${runs.length}`;
}

/** A block in as many tables as the width demands: a line for each group, its models below. */
function textTables(groups: readonly Group[], block: Block): string[] {
  const rows = groups.map((group) => ({ group, subjects: subjectsOf(group, block) }));
  const body = (columns: readonly Column[]) =>
    formatTable(
      ['  trained', ...columns.map(({ heading }) => heading)],
      rows.flatMap(({ group, subjects: own }) =>
        own.map((subject) => [`  ${trainedName(subject)}`, ...columns.map((column) => cellOf(group, subject, column))]),
      ),
    );
  const parts: Column[][] = [];
  for (const column of block.columns) {
    const last = parts.at(-1);
    const fits =
      last &&
      Math.max(
        ...body([...last, column])
          .split('\n')
          .map((line) => line.length),
      ) <= WIDTH;
    if (fits) last.push(column);
    else parts.push([column]);
  }
  return parts.map((columns) => {
    const [heading, ...lines] = body(columns).split('\n');
    const grouped = rows.map(({ group, subjects: own }) => [groupLine(group), ...lines.splice(0, own.length)]);
    return [block.title, heading, ...grouped.flat()].join('\n');
  });
}

/** `noise.factor=0.1, variant=top5: 2 of 3 seeds`. */
function groupLine(group: Group): string {
  const { labels, runs } = group;
  const values = Object.entries(labels).map(([key, label]) => `${key}=${label}`);
  const name = values.length > 0 ? values.join(', ') : 'every run';
  return wrap(`${name}: ${seedsOf(group)} ${runs.length === 1 ? 'seed' : 'seeds'}`, WIDTH);
}

function legend({ groups }: SweepResults, blocks: readonly Block[]): string[] {
  if (groups.every(({ runs, missing }) => runs.length === missing.length)) return [];
  const spread = 'Mean±sample standard deviation over seeds; of one seed the value alone.';
  const settings = blocks.flatMap(({ columns }) => columns.filter(({ setting }) => setting !== null));
  if (settings.length === 0) return [spread];
  const many = settings.some(({ metric }) => metric !== 'pass@1');
  const thoughts = 'Columns: how a model thinks when tested, Hard, Fuzzy or Soft; G greedy, S1 one sample';
  const more = many ? '; Sk any of k samples (pass@k); Mk the majority of k' : '';
  return [`${spread}\n${wrap(`${thoughts}${more}. Trained: in which mode, none for the base model.`)}`];
}

/** The runs that are not in the averages, by name. */
function missingRuns({ groups }: SweepResults): string[] {
  const names = groups.flatMap(({ missing }) => missing);
  return names.length > 0 ? [`Missing, and in no average:\n${names.map((name) => `  ${name}`).join('\n')}`] : [];
}
