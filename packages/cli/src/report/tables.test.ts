import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MadeRun, writeRun } from '../test/experiment.js';
import { temporaryFolder } from '../test/tools.js';
import { type Collection, collectRuns } from './collect.js';
import { groupsOf, meanOver, variantText } from './groups.js';
import { reportTables, settingOf } from './paperTables.js';
import type { Row, Table } from './tables.js';

const folder = temporaryFolder();
afterAll(folder.remove);

let made = 0;
async function collect(...runs: MadeRun[]): Promise<Collection> {
  return collectRuns(runs.map((run) => writeRun(join(folder.path, `run-${++made}`), { steps: 2, ...run })));
}

const llama: MadeRun = {
  model: 'Llama-3.2-3B-Instruct',
  data: { kind: 'gsm8k', train: 'train.jsonl' },
  sets: { gsm8k: { kind: 'gsm8k', test: 'test.jsonl', questions: 20 } },
  evaluationSeed: 1,
};

let seeds: Collection;
beforeAll(async () => {
  seeds = await collect({ ...llama, seed: 1 }, { ...llama, seed: 2 }, { ...llama, seed: 3 });
});

const tableOf = (collection: Collection, id: string): Table =>
  reportTables(collection, groupsOf(collection.runs)).find((table) => table.id === id)!;
const rowOf = (table: Table, model: string, subject: string, detail = ''): Row =>
  table.rows.find((row) => row.model === model && row.subject === subject && row.detail === detail)!;

test('means and standard deviations over seeds, by hand', () => {
  expect(
    meanOver(
      [
        { value: 0.5, low: 0.4, high: 0.6 },
        { value: 0.7, low: 0.6, high: 0.8 },
      ],
      100,
    ),
  ).toEqual({
    mean: 60,
    sd: expect.closeTo(Math.sqrt(200), 9), // ((50 - 60)² + (70 - 60)²) / 1
    n: 2,
    low: expect.closeTo(50, 9),
    high: expect.closeTo(70, 9),
  });
  expect(meanOver([{ value: 0.5, low: null, high: 1 }])).toEqual({ mean: 0.5, n: 1 });
  expect(meanOver([])).toBeUndefined();
  expect(meanOver([{ value: Number.NaN }])).toBeUndefined();
});

test('a cell of table 3 is the mean over the seeds, beside the number of the paper', () => {
  const row = rowOf(tableOf(seeds, 'table-3'), 'Llama-3.2-3B-Instruct', 'soft');
  const values = groupsOf(seeds.runs)
    .find(({ subject }) => subject === 'soft')!
    .entries.map((entry) => 100 * settingOf(entry, 'gsm8k', 'hard-sample')!.passAtK.find(({ k }) => k === 32)!.value);
  const cell = row.cells['gsm8k/hard-sample@32']!;
  expect(values).toHaveLength(3);
  expect(cell.ours!.mean).toBeCloseTo((values[0]! + values[1]! + values[2]!) / 3, 9);
  expect(cell.ours!.n).toBe(3);
  expect(cell.paper).toEqual({ mean: 97.9, sd: 0.3 });
  expect(row.seeds).toEqual([1, 2, 3]);
});

test('the base model of runs that test it with one seed counts once', () => {
  const row = rowOf(tableOf(seeds, 'table-3'), 'Llama-3.2-3B-Instruct', 'base');
  expect(row.seeds).toEqual([1]);
  expect(row.cells['gsm8k/hard-greedy@1']!.ours!.sd).toBeUndefined();
});

test("the paper's rows are all there in its order, those that were not run with its numbers alone", () => {
  const table = tableOf(seeds, 'table-3');
  expect(table.rows).toHaveLength(18);
  expect(table.rows[17]).toMatchObject({ model: 'Qwen2.5-3B-Instruct', trainedOn: 'math', subject: 'soft', seeds: [] });
  expect(table.rows[17]!.cells['gsm8k/soft-sample@32']).toEqual({ paper: { mean: 95.4, sd: 0.4 } });
  expect(tableOf(seeds, 'table-5').ours).toBe(false);
});

test('the best pass@1 and the best pass@k of a model are marked, and none of the paper', () => {
  const { rows, columns } = tableOf(seeds, 'table-3');
  for (const k of [1, 32]) {
    const cells = rows
      .filter(({ model }) => model.startsWith('Llama-3.2'))
      .flatMap((row) => columns.filter(({ id }) => id.endsWith(`@${k}`)).flatMap(({ id }) => row.cells[id] ?? []));
    const ours = cells.flatMap(({ ours }) => (ours ? [ours.mean.toFixed(1)] : []));
    const most = Math.max(...ours.map(Number)).toFixed(1);
    expect(cells.filter(({ best }) => best).map(({ ours }) => ours!.mean.toFixed(1))).toEqual(
      ours.filter((value) => value === most),
    );
  }
});

test('runs that were tested in another way are rows of their own, marked and explained', async () => {
  const collection = await collect({ seed: 1 }, { seed: 2 }, { seed: 1, samples: 8 });
  const table = tableOf(collection, 'table-3-arithmetic');
  const soft = table.rows.filter(({ subject }) => subject === 'soft');
  expect(soft.map(({ protocol, seeds: own }) => [protocol, own])).toEqual([
    ['a', [1, 2]],
    ['b', [1]],
  ]);
  expect(table.notes[0]).toMatch(
    /^Tested in several ways, which are neither averaged nor compared: a: .*32 samples.* b: .*8 samples/,
  );
  // The most samples of each way have a column.
  expect(table.columns.map(({ id }) => id)).toContain('arithmetic/soft-sample@8');
  expect(soft[1]!.cells['arithmetic/soft-sample@32']).toBeUndefined();
  // A best is one among its own protocol.
  for (const protocol of ['a', 'b']) {
    const own = table.rows.filter((row) => row.protocol === protocol);
    const ofPassAt1 = own.flatMap((row) => Object.entries(row.cells).filter(([id]) => id.endsWith('@1')));
    expect(ofPassAt1.some(([, { best }]) => best)).toBe(true);
  }
});

test("the paper's own rows have no letter of a protocol", async () => {
  const { rows } = tableOf(await collect(llama, { ...llama, samples: 8 }), 'table-3');
  const theirs = rows.filter(({ seeds: own }) => own.length === 0);
  expect(new Set(theirs.map(({ protocol, tested }) => `${protocol}${tested}`))).toEqual(new Set(['']));
  expect(new Set(rows.map(({ protocol }) => protocol))).toEqual(new Set(['', 'a', 'b']));
});

test('runs that differ in anything but the seed are not averaged, and say in what', async () => {
  const collection = await collect({ learningRate: 1e-4 }, { learningRate: 3e-4 });
  const rows = tableOf(collection, 'table-3-arithmetic').rows.filter(({ subject }) => subject === 'hard');
  expect(rows.map(({ detail, seeds: own }) => [detail, own])).toEqual([
    ['learningRate 0.0001', [1]],
    ['learningRate 0.0003', [1]],
  ]);
});

test('a hard model has no noise: runs of other noise are seeds of the same', async () => {
  const noise = (factor: number) => ({ factor, scale: 'entry' as const });
  const { runs } = await collect({ seed: 1, noise: noise(1) }, { seed: 2, noise: noise(0.33) });
  const groups = groupsOf(runs);
  expect(groups.filter(({ subject }) => subject === 'hard').map(({ entries }) => entries.length)).toEqual([2]);
  expect(groups.filter(({ subject }) => subject === 'soft').map((group) => variantText(group, groups))).toEqual([
    'noise 1',
    '',
  ]);
});

test('table 6 takes what was trained at its noise, and table 3 only what was trained as the paper does', async () => {
  const noise = (factor: number) => ({ factor, scale: 'entry' as const });
  const fuzzy: MadeRun = { ...llama, modes: ['fuzzy'] };
  const collection = await collect({ ...fuzzy }, { ...fuzzy, noise: noise(1) }, { ...fuzzy, noise: noise(3) });
  const table = tableOf(collection, 'table-6');
  expect(table.rows.map(({ detail, seeds: own }) => [detail, own.length])).toEqual([
    ['noise 0.1', 0],
    ['noise 0.33', 1],
    ['noise 1', 1],
    ['noise 3', 1],
  ]);
  expect(table.rows[2]!.cells['gsm8k/hard-greedy@1']!.paper).toEqual({ mean: 78.1 });
  expect(tableOf(collection, 'table-3').rows.filter(({ seeds: own }) => own.length > 0)).toHaveLength(2);
});

test('an ablation of another model has a table of its own, and placements keep the order of the paper', async () => {
  const at = (placement: string, k?: number): MadeRun => ({
    modes: ['soft'],
    noise: { factor: 0.33, scale: 'entry', placement: placement as 'hidden', ...(k && { k }) },
  });
  const collection = await collect({ modes: ['soft'] }, at('logits'), at('topk', 5), at('hidden'));
  expect(tableOf(collection, 'table-7-arithmetic').rows.map(({ detail }) => detail)).toEqual([
    '',
    'noise on embedding',
    'noise on final hidden states',
    'noise on logits',
    'noise on top-5 logits',
  ]);
});

test('placements are compared at one temperature, but for that of the top-k logits', async () => {
  const hidden = { factor: 0.33, scale: 'entry' as const, placement: 'hidden' as const };
  const topK = { factor: 0.33, scale: 'entry' as const, placement: 'topk' as const, k: 5 };
  const collection = await collect(
    { modes: ['fuzzy'] },
    { modes: ['fuzzy'], temperature: { fuzzy: 0.1 } },
    { modes: ['fuzzy'], noise: hidden },
    { modes: ['soft'] },
    { modes: ['soft'], temperature: { soft: 1 }, noise: topK },
  );
  const rows = tableOf(collection, 'table-7-arithmetic').rows.filter(({ subject }) => subject !== 'base');
  expect(rows.map(({ subject, detail }) => [subject, detail])).toEqual([
    ['fuzzy', 'noise on embedding'],
    ['soft', 'noise on embedding'],
    ['fuzzy', 'noise on final hidden states'],
    ['soft', 'noise on top-5 logits, τ 1'],
  ]);
});

test('choice sets: the higher accuracy and the lower likelihood are best, with an interval of the accuracy', async () => {
  const collection = await collect({ outOfDomain: { long: { kind: 'arithmetic', questions: 50 } } });
  const table = tableOf(collection, 'table-2-long');
  const best = (id: string) => table.rows.filter((row) => row.cells[id]?.best).map((row) => row.cells[id]!.ours!.mean);
  const means = (id: string) => table.rows.map((row) => row.cells[id]!.ours!.mean);
  expect(best('long/accuracy')[0]).toBe(Math.max(...means('long/accuracy')));
  expect(best('long/nll')[0]).toBe(Math.min(...means('long/nll')));
  const { mean, low, high } = table.rows[0]!.cells['long/accuracy']!.ours!;
  expect(low!).toBeLessThan(mean);
  expect(high!).toBeGreaterThan(mean);
});
