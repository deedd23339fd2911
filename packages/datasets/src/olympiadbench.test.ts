import { describe, expect, test } from 'vitest';
import { readOlympiadbench } from './olympiadbench.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

describe('readOlympiadbench', () => {
  test('golden: a real row, several answers, a single formula', async () => {
    const problems = await readOlympiadbench(fixture('olympiadbench.jsonl'));
    expect(problems[0]).toEqual({
      id: 'olympiadbench/2787',
      question: 'Compute the largest prime divisor of $15 !-13$ !.',
      answer: '19',
      solution: expect.stringMatching(/^ Factor 15 ! .* is 19 \. The final answer is: \\boxed\{19\}$/),
    });
    expect(problems.map(({ answer }) => answer)).toEqual([
      '19',
      '$-1$,$2$,$-2$',
      '\\frac{41}{12}',
      '\\frac{27}{2}',
      '\\frac{-1}{1997}',
    ]);
  });

  const row = fixtureRows('olympiadbench.jsonl')[0]!;
  test('a context goes before the question, several texts of answers get commas', async () => {
    const [problem] = await readOlympiadbench(rowsFile({ ...row, context: 'Let x.', final_answer: ['$1$', '$2$'] }));
    expect(problem!.question).toBe('Let x.\nCompute the largest prime divisor of $15 !-13$ !.');
    expect(problem!.answer).toBe('$1$, $2$');
  });

  test.each([
    [{ final_answer: null }, /:1: final_answer: /],
    [{ final_answer: [] }, /:1: final_answer: /],
    [{ final_answer: ['\\{1'] }, undefined],
    [{ final_answer: ['{1'] }, /:1: expected an answer whose braces match/],
    [{ modality: 'Multimodal' }, /:1: modality: /],
    [{ question: 'See <image_1>.' }, /:1: expected a question of text, got one with an image/],
    [{ id: null }, /:1: id: /],
  ])('%j', async (wrong, message) => {
    const read = readOlympiadbench(rowsFile({ ...row, ...wrong }));
    await (message ? expect(read).rejects.toThrow(message) : expect(read).resolves.toHaveLength(1));
  });
});

const whole = wholeSet('olympiadbench/test.public.jsonl');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  expect(await readOlympiadbench(whole.path)).toHaveLength(337);
});
