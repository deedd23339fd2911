// Which tables a report has: the paper's eight from our runs, the same of other sets, and what the paper does not print.

import { wilsonInterval } from '@soft-tokens/metrics';
import { type Mode, paperTemperatures, type SettingName } from '@soft-tokens/samplers';
import { tableModes } from '../jobs/tasks.js';
import type { Collection } from './collect.js';
import {
  choiceProtocolOf,
  type Entry,
  type Group,
  groupBy,
  type Measured,
  mainGroups,
  placementRank,
  placementText,
  protocolOf,
  setId,
  setName,
  setsOf,
  type Variant,
  variantText,
} from './groups.js';
import {
  choiceColumns,
  PAPER_FACTOR,
  type PaperRow,
  type PaperTable,
  paperChoiceSets,
  paperSets,
  paperTables,
} from './paperNumbers.js';
import type { SettingRecord } from './records.js';
import { type Column, isRowOf, type Row, type Table, type TableSpec, tableOf } from './tables.js';

/** The paper's table of a number, from 1. */
const paperTable = (number: number): PaperTable => paperTables[number - 1]!;

/** An entry's record of a setting on a set. */
export function settingOf({ run, record }: Entry, set: string, setting: SettingName): SettingRecord | undefined {
  return record?.sets.find((each) => setId(run, each.set) === set)?.settings.find((each) => each.setting === setting);
}

/** Every table, in order. */
export function reportTables(collection: Collection, groups: readonly Group[]): Table[] {
  const main = mainGroups(groups);
  const sets = setsOf(collection, 'sets');
  const others = sets.filter((set) => !(set in paperSets));
  const known = Object.keys(paperSets);
  const numbered = Object.entries(paperSets).map(([set, number]) => settingTable(main, set, number));
  return [
    hardTable(main, known, paperTable(1), 'table-1', 'Table 1'),
    choiceTable(main, [...paperChoiceSets], paperTable(2)),
    ...numbered,
    ...[6, 7, 8].map((number) => ablationTable(groups, 'gsm8k', number)),
    ...others.map((set) => settingTable(main, set)),
    ...extraChoices(collection).map((set) => choiceTable(main, [set])),
    ...sets.flatMap((set) => [6, 7, 8].flatMap((number) => ownAblation(groups, set, number))),
  ];
}

/** What the paper does not tabulate: majority votes, lengths, how thoughts and answers end. */
export function furtherTables(
  collection: Collection,
  groups: readonly Group[],
): { majority: Table[]; lengths: Table[] } {
  const main = mainGroups(groups);
  const sets = setsOf(collection, 'sets');
  return {
    majority: sets.map((set) => majorityTable(main, set)).filter(({ columns }) => columns.length > 0),
    lengths: sets.map((set) => lengthTable(main, set)),
  };
}

const extraChoices = (collection: Collection) =>
  setsOf(collection, 'outOfDomain').filter((set) => !(paperChoiceSets as readonly string[]).includes(set));

/** The k of a set's last columns: the paper's 32 for its own sets, besides or instead the most that our runs have. */
function mostK(groups: readonly Group[], set: string): number[] {
  const ours = groups.flatMap(({ entries }) =>
    entries.map((entry) =>
      Math.max(
        1,
        ...tableModes.flatMap((kind) => settingOf(entry, set, `${kind}-sample`)?.passAtK.map(({ k }) => k) ?? []),
      ),
    ),
  );
  const most = new Set([...ours.filter((k) => k > 1), ...(set in paperSets ? [32] : [])]);
  return [...most].sort((a, b) => a - b);
}

function passColumn(set: string, setting: SettingName, k: number, group: string): Column {
  const label = setting.endsWith('greedy') ? 'greedy' : `@${k}`;
  return {
    id: `${set}/${setting}@${k}`,
    group,
    label,
    unit: '%',
    digits: 1,
    scale: 100,
    best: { among: `${set} pass@${k}`, is: 'highest' },
    value: (entry) => settingOf(entry, set, setting)?.passAtK.find((point) => point.k === k),
  };
}

function settingColumnsOf(groups: readonly Group[], set: string, of: readonly Mode[] = tableModes): Column[] {
  const most = mostK(groups, set);
  return of.flatMap((kind) => {
    const group = of.length === 1 ? setName(set) : `${kind} thoughts`;
    return [
      passColumn(set, `${kind}-greedy`, 1, group),
      ...[1, ...most].map((k) => passColumn(set, `${kind}-sample`, k, group)),
    ];
  });
}

const columnsNote =
  'Columns: how the model thinks when tested; greedy, or sampled with pass@1 (the mean) and pass@k (any of k samples right).';

/** Tables 3 to 5, and the same of any other set. */
function settingTable(groups: readonly Group[], set: string, number?: number): Table {
  return tableOf({
    id: number ? `table-${number}` : `table-3-${set}`,
    number: number ? `Table ${number}` : 'As table 3',
    title: `The six inference settings on ${setName(set)}`,
    columns: settingColumnsOf(groups, set),
    groups,
    paper: number ? paperTable(number) : undefined,
    protocol: (entry) => protocolOf(entry, set),
    notes: [columnsNote],
  });
}

function hardTable(
  groups: readonly Group[],
  sets: readonly string[],
  paper: PaperTable,
  id: string,
  number: string,
): Table {
  return tableOf({
    id,
    number,
    title: `Hard inference on ${sets.map(setName).join(', ')}`,
    columns: sets.flatMap((set) => settingColumnsOf(groups, set, ['hard'])),
    groups,
    paper,
    protocol: (entry) => protocolOf(entry, ...sets),
    notes: ['Columns: ordinary tokens, greedy, or sampled with pass@1 (the mean) and pass@k (any of k samples right).'],
  });
}

/** Accuracy with its Wilson interval: the share of questions is all there is. */
function accuracyOf(accuracy: number, questions: number): Measured {
  if (!(questions > 0 && accuracy >= 0 && accuracy <= 1)) return { value: accuracy };
  const { low, high } = wilsonInterval(Math.round(accuracy * questions), questions);
  return { value: accuracy, low, high };
}

/** Table 2: choice sets by likelihood. */
function choiceTable(groups: readonly Group[], sets: readonly string[], paper?: PaperTable): Table {
  const recordOf = ({ run, record }: Entry, set: string) =>
    record?.outOfDomain.find((each) => setId(run, each.set, 'outOfDomain') === set);
  const columns = sets.flatMap((set): Column[] => {
    const [accuracy, nll] = choiceColumns([set]) as [string, string];
    return [
      {
        id: accuracy,
        group: setName(set),
        label: 'accuracy',
        unit: '%',
        digits: 2,
        scale: 100,
        best: { among: accuracy, is: 'highest' },
        value(entry) {
          const record = recordOf(entry, set);
          return record && accuracyOf(record.accuracy, record.questions);
        },
      },
      {
        id: nll,
        group: setName(set),
        label: 'NLL',
        unit: 'nats per token',
        digits: 2,
        scale: 1,
        best: { among: nll, is: 'lowest' },
        value(entry) {
          const record = recordOf(entry, set);
          return record && typeof record.nll === 'number' ? { value: record.nll } : undefined;
        },
      },
    ];
  });
  return tableOf({
    id: paper ? 'table-2' : `table-2-${sets.join('-')}`,
    number: paper ? 'Table 2' : 'As table 2',
    title: `Out of domain: ${sets.map(setName).join(', ')}`,
    columns,
    groups,
    paper,
    protocol(entry) {
      const parts = sets.flatMap((set) => {
        const text = choiceProtocolOf(entry, set);
        return text === undefined ? [] : [sets.length > 1 ? `${setName(set)}: ${text}` : text];
      });
      return parts.length > 0 ? parts.join('; ') : undefined;
    },
    notes: [
      'Ours: accuracy is the share of questions whose right choice is the likeliest by its sum of log-probabilities; NLL is ' +
        'the negative log-likelihood of the right choice, lower is better. The paper does not say how it prompts and scores.',
    ],
  });
}

/** What an ablation varies. */
interface Ablation {
  title: string;
  /** Of a group: a number to sort by, and the words of its rows. */
  rank(of: { factor?: number; placement?: string; temperature?: number }): number;
  text(of: { factor?: number; placement?: string; temperature?: number }): string;
  /** What stays the same within a family. */
  rest(group: Group): unknown;
  value(group: Group): unknown;
}

const ablations: Record<number, Ablation> = {
  6: {
    title: 'Noise scale in training',
    rank: ({ factor = PAPER_FACTOR }) => factor,
    text: ({ factor = PAPER_FACTOR }) => `noise ${factor}`,
    rest: ({ variant }) => [variant.placement, variant.temperature],
    value: ({ variant }) => variant.factor,
  },
  7: {
    title: 'Where the noise enters in training',
    rank: placementRank,
    text: ({ placement = 'embedding' }) => `noise on ${placementText(placement)}`,
    rest: ({ variant, subject }) => [variant.factor, usualTemperature(variant, subject as Mode)],
    value: ({ variant }) => variant.placement,
  },
  8: {
    title: 'Temperature of thoughts in training',
    rank: ({ temperature = 0 }) => temperature,
    text: ({ temperature }) => `τ ${temperature}`,
    rest: ({ variant }) => [variant.factor, variant.placement],
    value: ({ variant }) => variant.temperature,
  },
};

/** τ, but that of top-k placements, which is 1 in the paper and goes with them, as that of all others. */
const usualTemperature = ({ placement, temperature }: Variant, mode: Mode) =>
  placement?.startsWith('topk') && temperature === 1 ? paperTemperatures[mode] : temperature;

/** The words of an ablation, and what its values are sorted by. */
export const ablationText = (number: number): Pick<Ablation, 'title' | 'rank' | 'text'> => ablations[number]!;

/** The groups that an ablation compares: families in which nothing else differs and at least two values are there. */
export function ablationFamilies(groups: readonly Group[], number: number): Group[][] {
  const { rest, value } = ablations[number]!;
  const trained = groups.filter(({ subject }) => subject !== 'base' && (number === 8 || subject !== 'hard'));
  const families = groupBy(trained, (group) =>
    JSON.stringify([group.model, group.trainedOn, group.subject, rest(group), group.variant.other]),
  );
  return [...families.values()].filter((family) => new Set(family.map(value)).size > 1);
}

function ablationSpec(
  number: number,
  set: string,
): Pick<TableSpec, 'title' | 'protocol' | 'order' | 'paperDetail' | 'notes'> {
  const { title, rank, text } = ablations[number]!;
  return {
    title: `${title}, tested on ${setName(set)}`,
    protocol: (entry) => protocolOf(entry, set),
    order: ({ group, paper }) => {
      const { subject } = group ?? paper!;
      return [subject === 'base' ? Number.NEGATIVE_INFINITY : rank(group?.variant ?? paper!)];
    },
    paperDetail: (row: PaperRow) => (row.subject === 'base' ? '' : text(row)),
    notes: [
      columnsNote,
      ...(number === 7
        ? ['Noise is a multiple of the rms of what it is added to; the paper does not say of what.']
        : []),
    ],
  };
}

const detailOf = (number: number, groups: readonly Group[]) => (group: Group) => {
  if (group.subject === 'base') return '';
  const own = ablations[number]!.text(group.variant);
  // Whatever else is not the paper's way comes after what the table is about.
  const others = variantText(group, groups)
    .split(', ')
    .filter((part) => part !== '' && part !== own);
  return [own, ...others].join(', ');
};

/** Tables 6 to 8: the paper's rows, with ours where we have trained so. */
function ablationTable(groups: readonly Group[], set: string, number: number): Table {
  const paper = paperTable(number);
  const own = groups.filter((group) => paper.rows.some((row) => isRowOf(row, group)));
  return tableOf({
    ...ablationSpec(number, set),
    id: `table-${number}`,
    number: `Table ${number}`,
    columns: settingColumnsOf(own, set),
    groups: own,
    paper,
    detail: detailOf(number, own),
  });
}

/** The same of what else was trained at several values; nothing where that is the paper's table already. */
function ownAblation(groups: readonly Group[], set: string, number: number): Table[] {
  const paper = set === 'gsm8k' ? paperTable(number) : undefined;
  const families = ablationFamilies(groups, number)
    .filter((family) => family.some((group) => !paper?.rows.some((row) => isRowOf(row, group))))
    .map((family) => family.filter(({ entries }) => entries.some((entry) => protocolOf(entry, set) !== undefined)))
    .filter((family) => family.length > 1);
  if (families.length === 0) return [];
  const members = new Set(families.flat());
  const bases = groups.filter(
    ({ subject, model }) => number === 7 && subject === 'base' && [...members].some((group) => group.model === model),
  );
  const own = [...bases, ...groups.filter((group) => members.has(group))];
  const table = tableOf({
    ...ablationSpec(number, set),
    id: `table-${number}-${set}`,
    number: `As table ${number}`,
    columns: settingColumnsOf(own, set),
    groups: own,
    detail: detailOf(number, own),
  });
  return table.ours ? [table] : [];
}

/** Majority votes beside pass@1: what many samples are worth when one answer must be given. */
function majorityTable(groups: readonly Group[], set: string): Table {
  const ks = [
    ...new Set(
      groups.flatMap(({ entries }) =>
        entries.flatMap((entry) =>
          tableModes.flatMap((kind) => settingOf(entry, set, `${kind}-sample`)?.majority.map(({ k }) => k) ?? []),
        ),
      ),
    ),
  ]
    .filter((k) => k > 2)
    .sort((a, b) => a - b);
  const chosen = [...new Set([ks[Math.floor((ks.length - 1) / 2)], ks.at(-1)])].filter((k) => k !== undefined);
  const columns = tableModes.flatMap((kind): Column[] => [
    passColumn(set, `${kind}-sample`, 1, `${kind} thoughts`),
    ...chosen.map(
      (k): Column => ({
        id: `${set}/${kind}-sample/majority@${k}`,
        group: `${kind} thoughts`,
        label: `vote of ${k}`,
        unit: '%',
        digits: 1,
        scale: 100,
        best: { among: `${set} majority@${k}`, is: 'highest' },
        value: (entry) => settingOf(entry, set, `${kind}-sample`)?.majority.find((point) => point.k === k),
      }),
    ),
  ]);
  return tableOf({
    id: `majority-${set}`,
    number: '',
    title: `Majority votes on ${setName(set)}`,
    columns: chosen.length > 0 ? columns : [],
    groups,
    protocol: (entry) => protocolOf(entry, set),
    notes: ['The answer that most of the first k samples give; @1 is the mean of all samples, for comparison.'],
  });
}

type Numbers = (record: SettingRecord) => number;

/** How long thoughts are and how they end, a row a model and setting. */
function lengthTable(groups: readonly Group[], set: string): Table {
  const settings = tableModes.flatMap((kind): SettingName[] => [`${kind}-greedy`, `${kind}-sample`]);
  const column = (group: string, label: string, unit: string, of: Numbers, setting: SettingName): Column => ({
    id: `${set}/${label}`,
    group,
    label,
    unit,
    digits: unit === '%' ? 1 : 0,
    scale: unit === '%' ? 100 : 1,
    value(entry) {
      const record = settingOf(entry, set, setting);
      return record && { value: of(record) };
    },
  });
  const tables = settings.map((setting) =>
    tableOf({
      id: `lengths-${set}`,
      number: '',
      title: `Lengths and endings on ${setName(set)}`,
      columns: [
        column('thought, tokens', 'mean', 'tokens', (record) => record.thoughtTokens.mean, setting),
        column('thought, tokens', 'p10', 'tokens', (record) => record.thoughtTokens.p10, setting),
        column('thought, tokens', 'p50', 'tokens', (record) => record.thoughtTokens.p50, setting),
        column('thought, tokens', 'p90', 'tokens', (record) => record.thoughtTokens.p90, setting),
        column('thought, tokens', 'max', 'tokens', (record) => record.thoughtTokens.max, setting),
        column('thought ended by', 'phrase', '%', (record) => record.thoughtEnd.phrase, setting),
        column('thought ended by', 'cap', '%', (record) => record.thoughtEnd.cap, setting),
        column('answer', 'boxed', '%', (record) => record.boxed, setting),
        column('answer', 'closed', '%', (record) => record.answerEnd.closed, setting),
        column('answer', 'end of text', '%', (record) => record.answerEnd.end, setting),
        column('answer', 'cut off', '%', (record) => record.answerEnd.cap, setting),
      ],
      groups,
      protocol: (entry) => protocolOf(entry, set),
      detail: (group) =>
        [setting.replace('-', ' '), variantText(group, groups)].filter((part) => part !== '').join(', '),
      notes: [
        'Thought tokens: mean and percentiles over questions and samples, means of them over seeds. A thought ends with the ' +
          'phrase "The final answer is:" or at the cap; an answer is closed by its brace, ends with the text, or is cut off.',
      ],
    }),
  );
  // One row after another of the same model, whatever the setting; none of a setting that it was not tested in.
  const rows = tables.flatMap((table) => table.rows.filter(({ cells }) => Object.keys(cells).length > 0));
  const keyOf = (row: Row) => JSON.stringify([row.model, row.trainedOn, row.subject]);
  return { ...tables[0]!, rows: [...groupBy(rows, keyOf).values()].flat(), ours: rows.length > 0 };
}
