import { describe, expect, test } from 'vitest';
import { readMmlu } from './mmlu.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

const row = {
  id: 'mmlu/rows/1',
  context: 'Find the characteristic of the ring 2Z.',
  choices: ['0', '3', '12', '30'],
  correct: 0,
  subject: 'abstract_algebra',
};

describe('readMmlu', () => {
  test('golden: a real row', async () => {
    expect((await readMmlu(fixture('mmlu.jsonl')))[0]).toEqual({ ...row, id: 'mmlu/mmlu/1' });
  });

  test('choices as a list, answers as letters', async () => {
    const { context: question, choices, subject } = row;
    expect(await readMmlu(rowsFile({ question, choices, subject, answer: 'A' }))).toEqual([row]);
    expect((await readMmlu(rowsFile({ question, choices, answer: 'D' })))[0]!.correct).toBe(3);
  });

  test.each([
    [{ answer: 4 }, /:1: expected the right answer among 0, 1, 2, 3, got "4"/],
    [{ answer: 'E' }, /got "E"/],
    [{ answer: null }, /:1: answer: /],
    [{ choice2: undefined }, /:1: choices/],
    [{ question: '' }, /:1: question: /],
  ])('%j is malformed', async (wrong, message) => {
    await expect(readMmlu(rowsFile({ ...fixtureRows('mmlu.jsonl')[0], ...wrong }))).rejects.toThrow(message);
  });
});

const whole = wholeSet('mmlu/dev.jsonl');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  expect(await readMmlu(whole.path)).toHaveLength(285);
});
