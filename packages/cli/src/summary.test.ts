import { expect, test } from 'vitest';
import type { QuestionRecord } from './evaluation.js';
import { majorityIsCorrect, summarize } from './summary.js';

const record = (id: string, changes: Partial<QuestionRecord>): QuestionRecord => ({
  id,
  answers: ['7', '7'],
  correct: [true, true],
  thoughtTokens: [4, 6],
  thoughtEnd: ['phrase', 'phrase'],
  answerEnd: ['closed', 'closed'],
  entropy: { sum: [2, 1], count: [2, 1] },
  ...changes,
});

test('counts by hand', () => {
  const records = [
    record('a', {}),
    record('b', {
      answers: ['3', null],
      correct: [false, false],
      thoughtTokens: [10, 20],
      thoughtEnd: ['phrase', 'cap'],
      answerEnd: ['end', 'cap'],
      entropy: { sum: [4, 1, 5], count: [2, 1, 1] },
    }),
    record('c', { answers: ['5', '1'], correct: [false, true] }),
  ];
  const summary = summarize({ setting: 'soft-sample', samples: 2, k: [1, 2], records });
  expect(summary.passAtK.map(({ value }) => value)).toEqual([0.5, 2 / 3]); // (1 + 0 + 1/2) / 3, and 2 of 3
  for (const { value, low, high } of summary.passAtK) {
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
  }
  // Of two votes for different answers the first wins: question c is wrong.
  expect(summary.majority).toEqual([
    { k: 1, value: 1 / 3 },
    { k: 2, value: 1 / 3 },
  ]);
  expect(summary.boxed).toBeCloseTo(5 / 6, 12);
  expect(summary.thoughtEnd.cap).toBeCloseTo(1 / 6, 12);
  expect(summary.answerEnd).toEqual({ closed: 4 / 6, end: 1 / 6, cap: 1 / 6 });
  expect(summary.thoughtTokens).toEqual({ mean: 50 / 6, p10: 4, p50: 6, p90: 15, max: 20 }); // between 10 and 20, as numpy has it
  expect(summary.entropy).toEqual({ mean: [8 / 6, 3 / 3, 5], count: [6, 3, 1] });
});

test('answers that are equal in other words vote together', () => {
  const answers = ['3', '1/2', null, '0.5'];
  const correct = [false, true, false, true];
  expect(majorityIsCorrect({ answers, correct }, 4)).toBe(true);
  expect(majorityIsCorrect({ answers, correct }, 2)).toBe(false);
  expect(majorityIsCorrect({ answers: [null], correct: [false] }, 1)).toBe(false);
});
