// What the paper published, as data: tables 1 to 8.
//
// Source: Butt et al. 2025, "Soft Tokens, Hard Truths", arXiv:2509.19170 v2. Accuracies in per cent, likelihoods in nats
// per token; ± is the paper's standard deviation over seeds, given in table 3 alone here. `-` stands for a number that is
// not recorded here: table 5 under soft and fuzzy inference (page 16 of the paper), and a part of table 7.
import type { SubjectName } from '../jobs/tasks.js';

/** A published number: a mean, in table 3 with its standard deviation. */
export interface PaperValue {
  mean: number;
  sd?: number;
}

/** How a row of the ablation tables was trained, where it is not as everywhere else. */
export interface PaperVariant {
  /** Noise as a multiple of the rms of what it is added to. */
  factor?: number;
  /** Where the noise enters: `embedding`, `hidden`, `logits`, `topk 5`. */
  placement?: string;
  /** τ of the thoughts in training. */
  temperature?: number;
}

/** A row of one of the paper's tables. */
export interface PaperRow extends PaperVariant {
  model: PaperModel;
  /** The set trained on; null for the base model. */
  trainedOn: string | null;
  subject: SubjectName;
  /** By column; see `settingColumns` and `choiceColumns`. */
  cells: Readonly<Record<string, PaperValue>>;
}

/** One of the paper's tables. */
export interface PaperTable {
  number: number;
  columns: readonly string[];
  rows: readonly PaperRow[];
}

/** The models of the paper, by the names of their directories. */
export const paperModels = ['Llama-3.2-3B-Instruct', 'Llama-3.1-8B-Instruct', 'Qwen2.5-3B-Instruct'] as const;
export type PaperModel = (typeof paperModels)[number];

/** The sets that the paper's models are tested on, with the number of the table of all six settings. */
export const paperSets = { gsm8k: 3, math500: 4, olympiadbench: 5 } as const;

/** The choice sets of table 2. */
export const paperChoiceSets = ['hellaswag', 'arc', 'mmlu'] as const;

/** The noise that the paper trains with everywhere but in its ablations; its τ is `paperTemperatures`. */
export const PAPER_FACTOR = 0.33;

const nine = ['hard', 'fuzzy', 'soft'].flatMap((kind) => [`${kind}-greedy@1`, `${kind}-sample@1`, `${kind}-sample@32`]);

/** The nine columns of tables 3 to 8 for a test set: `gsm8k/hard-greedy@1`, ... */
const settingColumns = (set: string): string[] => nine.map((column) => `${set}/${column}`);

/** The columns of table 2: accuracy and likelihood of each choice set. */
export const choiceColumns = (sets: readonly string[]): string[] =>
  sets.flatMap((set) => [`${set}/accuracy`, `${set}/nll`]);

const short: Record<string, PaperModel> = { L3B: paperModels[0], L8B: paperModels[1], Q3B: paperModels[2] };

/** `75.9±1.3` or `75.9`; none of `-`. */
function published(text: string): PaperValue | undefined {
  if (text === '-') return undefined;
  const [mean, sd] = text.split('±').map(Number);
  return sd === undefined ? { mean: mean! } : { mean: mean!, sd };
}

function cellsOf(columns: readonly string[], texts: readonly string[]): PaperRow['cells'] {
  if (texts.length !== columns.length) throw new RangeError(`${texts.join(' ')}: expected ${columns.length} cells`);
  const entries = columns.flatMap((column, i) => {
    const value = published(texts[i]!);
    return value ? [[column, value] as const] : [];
  });
  return Object.fromEntries(entries);
}

/** Lines of `model set mode cells...`; the base model has no set and is trained as `none`. */
function rows(columns: readonly string[], text: string): PaperRow[] {
  const lines = text.trim().split('\n');
  return lines.map((line) => {
    const [model = '', set = '', mode = '', ...cells] = line.trim().split(/[\s/]+/);
    const base = set === 'none';
    return {
      model: short[model]!,
      trainedOn: base ? null : set,
      subject: base ? 'base' : (mode as SubjectName),
      cells: cellsOf(columns, base ? [mode, ...cells] : cells),
    };
  });
}

/** Lines of `mode: cells...` of ablations of Llama-3.2-3B on GSM8K, with what each line was trained at. */
function ablation(columns: readonly string[], lines: readonly [SubjectName, PaperVariant, string][]): PaperRow[] {
  return lines.map(([subject, variant, text]) => ({
    model: paperModels[0],
    trainedOn: subject === 'base' ? null : 'gsm8k',
    subject,
    ...variant,
    cells: cellsOf(columns, text.split(' ')),
  }));
}

const gsm8k = rows(
  settingColumns('gsm8k'),
  `
  L3B none 71.4 45.0 96.8 70.5 69.3 93.9 68.4 65.2 94.9
  L3B gsm8k hard 75.9±1.3 74.3±.8 94.1±.3 75.5±.6 74.7±.5 92.3±.4 75.7±.5 74.2±.4 92.6±.1
  L3B gsm8k fuzzy 76.7±1.8 66.4±2.4 97.4±.3 76.4±2.1 75.2±1.8 92.0±1.1 75.1±1.8 73.5±1.7 93.5±.8
  L3B gsm8k soft 77.2±.9 70.5±3.3 97.9±.3 76.8±.8 76.0±1.4 93.4±.3 74.5±1.5 74.1±2.0 94.2±.2
  L3B math hard 80.0±.5 79.7±.8 96.7±.1 80.1±.5 78.9±.7 95.3±.5 79.5±.8 78.6±.7 95.5±.3
  L3B math fuzzy 79.6±1.4 68.5±2.1 97.6±.3 78.8±.9 78.1±.8 95.2±.1 77.9±.9 75.9±1.1 95.7±.3
  L3B math soft 76.8±1.0 70.8±2.5 97.8±.3 76.9±.3 76.2±.6 94.6±.6 76.3±.5 74.8±.7 95.3±.8
  L3B deepscaler hard 79.7±1.3 79.5±.3 96.6±.3 79.6±1.1 78.9±.5 94.7±.6 79.8±1.0 78.5±.5 94.8±.2
  L3B deepscaler fuzzy 78.8±.8 69.6±4.7 97.7±.5 78.3±.9 77.2±1.1 94.8±.4 76.5±.7 75.4±1.3 95.3±.6
  L3B deepscaler soft 77.9±1.8 71.0±1.4 98.0±.1 77.5±1.3 76.9±1.4 94.4±.6 77.5±1.7 75.5±1.6 95.2±.4
  L8B none 82.6 64.9 98.5 82.6 69.3 96.1 81.2 63.8 96.1
  L8B gsm8k hard 81.2±.2 80.6±.4 95.1±.2 80.0±1.3 69.0±.7 94.5±.3 78.3±2.2 68.3±.7 94.3±.1
  L8B gsm8k fuzzy 83.7±1.3 73.2±3.0 98.2±.2 83.4±.7 73.5±1.1 95.5±.3 82.3±.8 69.8±1.7 95.5±.7
  L8B gsm8k soft 82.6±1.6 73.3±3.9 98.3±.2 82.4±1.7 72.9±1.0 95.2±.8 81.6±1.3 69.0±1.2 95.6±.4
  Q3B none 8.9 17.2 95.1 10.5 11.5 58.5 8.6 13.8 71.9
  Q3B math hard 84.0±.8 82.9±.3 97.2±.3 84.0±.9 83.2±.3 94.6±.2 84.0±.7 83.0±.2 94.9±.2
  Q3B math fuzzy 84.4±.8 81.6±1.0 98.1±.2 84.1±.3 84.2±.3 94.3±.1 84.0±.6 84.1±.3 95.0±.3
  Q3B math soft 82.9±.9 78.7±2.6 97.6±.5 82.5±1.3 82.1±1.3 94.8±.4 82.9±1.1 81.9±1.5 95.4±.4`,
);

const math500 = rows(
  settingColumns('math500'),
  `
  L3B none 38.0 25.2 82.0 37.8 34.9 78.4 37.2 33.1 79.2
  L3B gsm8k hard 34.6 31.2 72.4 34.6 32.7 71.6 33.2 32.1 70.1
  L3B gsm8k fuzzy 42.6 32.6 83.2 41.6 41.2 79.5 40.3 38.7 79.5
  L3B gsm8k soft 43.5 37.0 84.8 44.2 42.5 78.1 42.0 40.7 79.6
  L3B math hard 49.1 47.9 78.7 49.7 47.0 76.5 48.1 46.8 76.3
  L3B math fuzzy 48.5 37.5 81.5 47.4 46.9 79.7 45.6 44.8 79.9
  L3B math soft 44.5 39.1 82.2 45.1 43.4 79.3 43.2 42.0 80.2
  L3B deepscaler hard 49.6 48.3 78.1 49.2 47.9 77.7 50.0 47.4 77.7
  L3B deepscaler fuzzy 46.5 38.5 83.3 46.0 45.3 79.8 45.8 43.5 78.9
  L3B deepscaler soft 44.7 37.4 80.6 44.6 42.8 78.5 40.9 41.3 77.9
  L8B none 44.4 31.1 79.8 45.2 32.2 78.6 42.4 29.3 73.6
  L8B gsm8k hard 20.2 19.8 45.4 20.8 9.7 32.3 20.0 9.7 32.2
  L8B gsm8k fuzzy 44.6 33.7 83.1 45.1 33.9 75.9 43.7 31.1 75.7
  L8B gsm8k soft 44.7 34.8 83.9 44.3 33.9 76.9 44.3 31.0 75.4
  Q3B none 29.0 25.5 81.0 27.6 28.1 69.0 27.0 29.6 73.6
  Q3B math hard 59.0 57.1 83.6 58.9 57.5 79.9 58.3 57.1 80.2
  Q3B math fuzzy 58.1 55.5 84.4 58.4 57.9 79.1 58.0 57.7 80.3
  Q3B math soft 54.7 52.2 84.4 54.9 54.3 79.1 54.7 54.6 80.3`,
);

const olympiadbench = rows(
  settingColumns('olympiadbench').slice(0, 3),
  `
  L3B none 17.9 12.0 52.3
  L3B gsm8k hard 10.6 9.4 39.3
  L3B gsm8k fuzzy 17.4 13.0 55.2
  L3B gsm8k soft 18.9 15.5 58.6
  L3B math hard 22.7 22.2 49.3
  L3B math fuzzy 21.6 15.9 52.8
  L3B math soft 19.2 16.6 55.8
  L3B deepscaler hard 23.2 23.8 50.8
  L3B deepscaler fuzzy 19.5 16.6 54.4
  L3B deepscaler soft 21.0 16.4 53.3
  L8B none 19.6 11.7 52.6
  L8B gsm8k hard 3.8 3.4 16.4
  L8B gsm8k fuzzy 18.0 12.5 56.0
  L8B gsm8k soft 17.9 13.1 56.8
  Q3B none 16.9 14.3 50.2
  Q3B math hard 29.4 27.8 61.1
  Q3B math fuzzy 27.2 24.4 60.7
  Q3B math soft 24.3 22.0 58.5`,
);

/** Table 2 lists the sets of Llama-3.2-3B in another order than table 3; the rows here are in table 3's. */
const outOfDomain = rows(
  choiceColumns(paperChoiceSets),
  `
  L3B none 66.46/2.53 72.79/2.86 60.85/1.61
  L3B gsm8k hard 66.44/2.57 73.53/3.16 61.48/1.65
  L3B gsm8k fuzzy 66.97/2.53 73.10/2.89 61.30/1.60
  L3B gsm8k soft 67.13/2.53 72.99/2.89 61.36/1.59
  L3B math hard 66.20/2.57 73.45/3.19 61.11/1.65
  L3B math fuzzy 67.00/2.53 73.25/2.88 61.16/1.60
  L3B math soft 67.12/2.53 72.76/2.92 61.20/1.59
  L3B deepscaler hard 66.18/2.58 73.99/3.18 60.66/1.66
  L3B deepscaler fuzzy 66.88/2.55 73.05/2.94 61.20/1.60
  L3B deepscaler soft 66.48/2.56 72.85/2.93 60.34/1.68
  L8B none 74.24/2.34 81.20/2.82 69.00/1.40
  L8B gsm8k hard 74.44/2.37 81.49/3.13 68.90/1.41
  L8B gsm8k fuzzy 74.41/2.35 81.63/2.81 68.90/1.40
  L8B gsm8k soft 74.32/2.35 81.46/2.82 68.78/1.40
  Q3B none 74.94/2.29 83.00/4.67 68.08/1.19
  Q3B math hard 75.01/2.30 82.86/5.62 67.86/1.51
  Q3B math fuzzy 75.07/2.29 83.00/4.74 68.16/1.21
  Q3B math soft 75.25/2.30 83.12/5.49 68.01/1.33`,
);

const onGsm8k = settingColumns('gsm8k');
const paperFuzzy = '76.7 66.4 97.4 76.4 75.2 92.0 75.1 73.5 93.5';

const noiseScale = ablation(onGsm8k, [
  ['fuzzy', { factor: 0.1 }, '75.5 68.9 97.5 74.5 74.5 92.9 73.5 72.9 93.9'],
  ['fuzzy', { factor: 0.33 }, paperFuzzy],
  ['fuzzy', { factor: 1 }, '78.1 71.7 97.7 77.7 77.0 93.3 77.5 75.8 94.4'],
  ['fuzzy', { factor: 3 }, '65.4 37.8 95.9 65.1 63.1 91.1 60.5 57.3 93.1'],
]);

// The base model's numbers differ a little from table 3's in the paper itself.
const placement = ablation(onGsm8k, [
  ['base', {}, '71.0 45.0 96.8 70.8 69.3 93.9 67.7 65.2 94.9'],
  ['fuzzy', { placement: 'embedding' }, '76.7 66.4 97.4 - - - - - -'],
  ['soft', { placement: 'embedding' }, '77.2 70.6 97.9 - - - - - -'],
  ['fuzzy', { placement: 'hidden' }, '66.2 46.6 96.1 66.0 64.6 89.2 62.7 60.1 90.6'],
  ['soft', { placement: 'hidden' }, '68.0 40.0 94.5 66.8 65.1 89.3 64.3 61.0 91.7'],
  ['fuzzy', { placement: 'logits' }, '66.8 32.3 94.3 65.2 63.9 91.3 61.1 56.8 94.0'],
  ['soft', { placement: 'logits' }, '60.0 35.8 94.3 59.0 58.6 90.0 56.8 53.8 92.4'],
  ['soft', { placement: 'topk 5', temperature: 1 }, '72.8 68.5 94.0 72.1 71.5 90.9 71.6 70.7 91.5'],
  ['soft', { placement: 'topk 50', temperature: 1 }, '74.2 58.4 97.5 73.4 71.9 94.2 72.0 68.7 94.7'],
]);

const temperature = ablation(onGsm8k, [
  ['fuzzy', { temperature: 0.0001 }, paperFuzzy],
  ['fuzzy', { temperature: 0.001 }, '77.4 67.8 97.8 77.3 76.2 92.2 76.5 74.6 93.9'],
  ['fuzzy', { temperature: 0.01 }, '76.9 70.7 97.3 77.2 76.2 93.7 75.5 74.6 94.2'],
  ['fuzzy', { temperature: 0.1 }, '76.3 63.1 97.4 75.1 74.5 94.1 74.3 72.4 94.4'],
]);

/** Where table 1 prints another mean than the tables whose hard columns it repeats. */
const inTable1: readonly [PaperModel, string, SubjectName, string, number][] = [
  [paperModels[0], 'gsm8k', 'soft', 'gsm8k/hard-sample@1', 70.6],
  [paperModels[1], 'gsm8k', 'hard', 'gsm8k/hard-sample@1', 80.7],
  [paperModels[0], 'math', 'soft', 'math500/hard-sample@1', 38.9],
];

/** Table 1: the hard columns of tables 3 to 5, side by side. */
function hardInference(): PaperTable {
  const columns = Object.keys(paperSets).flatMap((set) => settingColumns(set).slice(0, 3));
  const merged = gsm8k.map((row, i) => {
    const all = { ...row.cells, ...math500[i]!.cells, ...olympiadbench[i]!.cells };
    const cells: Record<string, PaperValue> = {};
    for (const column of columns) {
      const own = inTable1.find(
        ([model, set, subject, name]) =>
          model === row.model && set === row.trainedOn && subject === row.subject && name === column,
      );
      const { mean, sd } = all[column]!;
      cells[column] = { mean: own?.[4] ?? mean, ...(sd !== undefined && { sd }) };
    }
    return { ...row, cells };
  });
  return { number: 1, columns, rows: merged };
}

/** The paper's tables, in order. */
export const paperTables: readonly PaperTable[] = [
  hardInference(),
  { number: 2, columns: choiceColumns(paperChoiceSets), rows: outOfDomain },
  { number: 3, columns: settingColumns('gsm8k'), rows: gsm8k },
  { number: 4, columns: settingColumns('math500'), rows: math500 },
  { number: 5, columns: settingColumns('olympiadbench'), rows: olympiadbench },
  { number: 6, columns: onGsm8k, rows: noiseScale },
  { number: 7, columns: onGsm8k, rows: placement },
  { number: 8, columns: onGsm8k, rows: temperature },
];
