import { expect, test } from 'vitest';
import { paperTables } from './paperNumbers.js';

const table = (number: number) => paperTables[number - 1]!;
const means = (number: number, row: number) =>
  table(number).columns.map((column) => table(number).rows[row]!.cells[column]?.mean);

test('eight tables of the sizes that the paper prints', () => {
  expect(paperTables.map(({ number, columns, rows }) => [number, rows.length, columns.length])).toEqual([
    [1, 18, 9],
    [2, 18, 6],
    [3, 18, 9],
    [4, 18, 9],
    [5, 18, 9],
    [6, 4, 9],
    [7, 9, 9],
    [8, 4, 9],
  ]);
});

test('no cell is of a column that its table does not have, and what is not recorded is left out', () => {
  const filled = paperTables.map(({ columns, rows }) => {
    const names = rows.flatMap(({ cells }) => Object.keys(cells));
    expect(names.filter((name) => !columns.includes(name))).toEqual([]);
    return names.length;
  });
  // Table 5 has its hard columns alone, table 7 lacks six cells of two rows.
  expect(filled).toEqual([18 * 9, 18 * 6, 18 * 9, 18 * 9, 18 * 3, 4 * 9, 9 * 9 - 12, 4 * 9]);
});

test('cells that were read in the paper', () => {
  const row = (number: number, model: string, trainedOn: string | null, subject: string) =>
    table(number).rows.find(
      (each) => each.model === model && each.trainedOn === trainedOn && each.subject === subject,
    )!;
  const [llama3, llama8, qwen] = ['Llama-3.2-3B-Instruct', 'Llama-3.1-8B-Instruct', 'Qwen2.5-3B-Instruct'];
  expect(row(3, llama3!, null, 'base').cells['gsm8k/hard-greedy@1']).toEqual({ mean: 71.4 });
  expect(row(3, llama3!, 'gsm8k', 'soft').cells['gsm8k/hard-sample@1']).toEqual({ mean: 70.5, sd: 3.3 });
  // Table 1 prints another mean than table 3 there.
  expect(row(1, llama3!, 'gsm8k', 'soft').cells['gsm8k/hard-sample@1']).toEqual({ mean: 70.6, sd: 3.3 });
  expect(row(1, llama3!, 'math', 'soft').cells['math500/hard-sample@1']).toEqual({ mean: 38.9 });
  expect(row(4, llama8!, 'gsm8k', 'hard').cells['math500/hard-sample@32']).toEqual({ mean: 45.4 });
  expect(row(5, qwen!, 'math', 'hard').cells['olympiadbench/hard-greedy@1']).toEqual({ mean: 29.4 });
  expect(row(2, qwen!, 'math', 'soft').cells['arc/nll']).toEqual({ mean: 5.49 });
  expect(row(7, llama3!, 'gsm8k', 'soft').placement).toBe('embedding');
});

test('sums of rows, so that no digit was lost', () => {
  const sum = (values: (number | undefined)[]) => values.reduce<number>((total, value) => total + (value ?? 0), 0);
  expect(sum(means(3, 0))).toBeCloseTo(71.4 + 45 + 96.8 + 70.5 + 69.3 + 93.9 + 68.4 + 65.2 + 94.9, 9);
  expect(sum(means(4, 17))).toBeCloseTo(54.7 + 52.2 + 84.4 + 54.9 + 54.3 + 79.1 + 54.7 + 54.6 + 80.3, 9);
  expect(sum(means(6, 3))).toBeCloseTo(65.4 + 37.8 + 95.9 + 65.1 + 63.1 + 91.1 + 60.5 + 57.3 + 93.1, 9);
  expect(means(8, 0)).toEqual(means(6, 1));
});

test('the rows of tables 1 to 5 are the same models in the same order', () => {
  const names = (number: number) =>
    table(number).rows.map(({ model, trainedOn, subject }) => [model, trainedOn, subject]);
  for (const number of [1, 2, 4, 5]) expect(names(number)).toEqual(names(3));
});
