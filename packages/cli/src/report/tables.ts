// Tables as data: rows and columns in the paper's order, ours beside the paper's. What a page, Markdown or CSV makes of
// them is elsewhere.
import { paperTemperatures } from '@soft-tokens/samplers';
import { type SubjectName, tableSubjects } from '../jobs/tasks.js';
import {
  bySeed,
  type Entry,
  type Group,
  groupBy,
  type Measured,
  meanOver,
  placementRank,
  type Value,
  variantText,
} from './groups.js';
import { PAPER_FACTOR, type PaperRow, type PaperTable, type PaperValue, paperModels } from './paperNumbers.js';

/** One number in two places: from our runs, and as the paper has it. */
export interface Cell {
  ours?: Value;
  paper?: PaperValue;
  /** Whether ours is the best of its kind in its block. */
  best?: boolean;
}

/** A column: what it measures, in which unit. */
export interface Column {
  id: string;
  /** Over several columns, and over the column itself. */
  group: string;
  label: string;
  unit: string;
  digits: number;
  /** Columns of one name compete for the best, which is the highest or the lowest. */
  best?: { among: string; is: 'highest' | 'lowest' };
  /** The number of one run; undefined where it was not measured. */
  value(entry: Entry): Measured | undefined;
  /** From the unit of the value to the column's. */
  scale: number;
}

export interface Row {
  model: string;
  trainedOn: string | null;
  subject: SubjectName;
  /** What else tells the row from others: noise, τ, setting. */
  detail: string;
  /** Which of the table's protocols, where it has several: the letter of its note. */
  protocol: string;
  /** The protocol in words; none of a row that is the paper's alone. */
  tested: string;
  /** The seeds of our runs; none of a row that is the paper's alone. */
  seeds: readonly number[];
  cells: Readonly<Record<string, Cell>>;
}

export interface Table {
  id: string;
  /** `Table 3`, `As table 3`, or nothing of a table that the paper does not have. */
  number: string;
  title: string;
  columns: readonly Omit<Column, 'value'>[];
  rows: readonly Row[];
  notes: readonly string[];
  /** Whether any number is of our runs. */
  ours: boolean;
}

/** What a table is made of. */
export interface TableSpec {
  id: string;
  number: string;
  title: string;
  columns: readonly Column[];
  groups: readonly Group[];
  /** Of the paper; its rows are there even where we have none. */
  paper?: PaperTable | undefined;
  /** How an entry was tested, in words; undefined where it was not. */
  protocol(entry: Entry): string | undefined;
  /** What a row says besides model, set and mode. */
  detail?(group: Group): string;
  paperDetail?(row: PaperRow): string;
  /** Sorts the rows of one model; the paper's order unless said. */
  order?(row: { group?: Group; paper?: PaperRow }): readonly number[];
  notes?: readonly string[];
}

const trainingSets: readonly (string | null)[] = [null, 'gsm8k', 'math', 'deepscaler'];

/** A row before its cells are filled. */
interface Draft {
  model: string;
  trainedOn: string | null;
  subject: SubjectName;
  detail: string;
  protocol: string;
  entries: readonly Entry[];
  paper?: PaperRow;
  order: readonly number[];
}

/** Fills a table from groups of runs. */
export function tableOf(spec: TableSpec): Table {
  const described = spec.groups.flatMap(({ entries }) => entries.flatMap((entry) => spec.protocol(entry) || []));
  const protocols = [...new Set(described)];
  const letter = (text: string) => (protocols.length > 1 ? letterOf(protocols.indexOf(text)) : '');
  const drafts = draftsOf(spec);
  const rows = drafts.map((draft): Row => {
    const { model, trainedOn, subject, detail, entries, paper } = draft;
    const cells = spec.columns.flatMap((column): [string, Cell][] => {
      const ours = meanOver(
        entries.flatMap((entry) => column.value(entry) ?? []),
        column.scale,
      );
      const published = paper?.cells[column.id];
      return ours || published ? [[column.id, { ...(ours && { ours }), ...(published && { paper: published }) }]] : [];
    });
    const seeds = entries.map(({ seed }) => seed);
    return {
      model,
      trainedOn,
      subject,
      detail,
      protocol: letter(draft.protocol),
      tested: draft.protocol,
      seeds,
      cells: Object.fromEntries(cells),
    };
  });
  markBest(rows, spec.columns);
  return {
    id: spec.id,
    number: spec.number,
    title: spec.title,
    columns: spec.columns.map(({ value: _, ...column }) => column),
    rows,
    notes: [...testedText(protocols, letter), ...(spec.notes ?? [])],
    ours: drafts.some(({ entries }) => entries.length > 0),
  };
}

/** a to z, then a2 to z2 and so on; none of a row that was not tested. */
function letterOf(index: number): string {
  if (index < 0) return '';
  const round = Math.floor(index / 26);
  return `${String.fromCharCode(97 + (index % 26))}${round === 0 ? '' : round + 1}`;
}

function testedText(protocols: readonly string[], letter: (text: string) => string): string[] {
  if (protocols.length === 0) return [];
  if (protocols.length === 1) return [`Tested with ${protocols[0]}.`];
  const list = protocols.map((text) => `${letter(text)}: ${text}.`).join(' ');
  return [`Tested in several ways, which are neither averaged nor compared: ${list}`];
}

/** The rows of a table: each group under each protocol that it was tested with, and what the paper has besides. */
function draftsOf(spec: TableSpec): Draft[] {
  const taken = new Set<PaperRow>();
  const ours = spec.groups.flatMap((group): Draft[] => {
    const tested = group.entries.filter((entry) => spec.protocol(entry) !== undefined);
    return [...groupBy(tested, (entry) => spec.protocol(entry)!)].map(([protocol, entries]) => {
      const paper = spec.paper?.rows.find((row) => isRowOf(row, group));
      if (paper) taken.add(paper);
      const { model, trainedOn, subject } = group;
      const detail = spec.detail?.(group) ?? variantText(group, spec.groups);
      const order = orderOf(spec, { group, ...(paper && { paper }) }, spec.groups);
      return { model, trainedOn, subject, detail, protocol, entries: bySeed(entries), order, ...(paper && { paper }) };
    });
  });
  const theirs = (spec.paper?.rows ?? [])
    .filter((row) => !taken.has(row))
    .map((paper): Draft => {
      const { model, trainedOn, subject } = paper;
      const detail = spec.paperDetail?.(paper) ?? '';
      const order = orderOf(spec, { paper }, spec.groups);
      return { model, trainedOn, subject, detail, protocol: '', entries: [], paper, order };
    });
  return [...ours, ...theirs].sort((a, b) => compareLists(a.order, b.order));
}

/** Whether a group was trained as a row of the paper was. */
export function isRowOf(row: PaperRow, { model, trainedOn, subject, variant }: Group): boolean {
  if (row.model !== model || row.trainedOn !== trainedOn || row.subject !== subject) return false;
  if (subject === 'base') return true;
  const noisy = subject !== 'hard';
  return (
    (!noisy ||
      (variant.factor === (row.factor ?? PAPER_FACTOR) && variant.placement === (row.placement ?? 'embedding'))) &&
    variant.temperature === (row.temperature ?? paperTemperatures[subject])
  );
}

function orderOf(spec: TableSpec, row: { group?: Group; paper?: PaperRow }, groups: readonly Group[]): number[] {
  const { model, trainedOn, subject } = row.group ?? row.paper!;
  const models = [...new Set([...paperModels, ...groups.map((group) => group.model)])];
  const sets = [...new Set([...trainingSets, ...groups.map((group) => group.trainedOn)])];
  const { factor = PAPER_FACTOR, temperature = 0, ...where } = row.group?.variant ?? row.paper!;
  return [
    models.indexOf(model),
    ...(spec.order?.(row) ?? []),
    sets.indexOf(trainedOn),
    tableSubjects.indexOf(subject),
    placementRank(where),
    factor,
    temperature,
    row.group ? groups.indexOf(row.group) : 0,
  ];
}

/** Lexicographic. */
function compareLists(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, at) => value !== b[at]);
  return i < 0 ? 0 : a[i]! - (b[i] ?? 0);
}

/** Marks the best of each block: a model's rows of one protocol, in columns that measure the same. */
function markBest(rows: readonly Row[], columns: readonly Column[]): void {
  const names = [...new Set(columns.flatMap(({ best }) => best?.among ?? []))];
  for (const block of groupBy(rows, ({ model, protocol }) => JSON.stringify([model, protocol])).values()) {
    for (const name of names) {
      const own = columns.filter(({ best }) => best?.among === name);
      const cells = block.flatMap((row) =>
        own.flatMap((column) => {
          const cell = row.cells[column.id];
          // What prints the same is as good.
          return cell?.ours ? [{ cell, shown: Number(cell.ours.mean.toFixed(column.digits)) }] : [];
        }),
      );
      if (cells.length < 2) continue;
      const shown = cells.map((each) => each.shown);
      const best = own[0]!.best!.is === 'highest' ? Math.max(...shown) : Math.min(...shown);
      if (shown.every((value) => value === best)) continue;
      for (const { cell } of cells.filter((each) => each.shown === best)) cell.best = true;
    }
  }
}
