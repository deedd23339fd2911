import { describe, expect, test } from 'vitest';
import { readDeepscaler } from './deepscaler.js';
import { fixture, rowsFile, wholeSet } from './test/files.js';

describe('readDeepscaler', () => {
  test('golden: real rows of two parts; a null answer of the set is malformed', async () => {
    await expect(readDeepscaler(fixture('deepscaler.jsonl'))).rejects.toThrow(
      /got 1 of 4:\n.*deepscaler\.jsonl:3: answer: expected text or a number; got \{"problem":"What is the largest/,
    );
    const lines: number[] = [];
    const onMalformed = (rows: readonly { line: number }[]) => lines.push(...rows.map(({ line }) => line));
    const problems = await readDeepscaler(fixture('deepscaler.jsonl'), { maxMalformed: 1, onMalformed });
    expect(lines).toEqual([3]);
    expect(problems[0]).toEqual({ id: 'deepscaler/deepscaler/1', question: 'Evaluate $\\log_464$.', answer: '3' });
    expect(problems[2]!.solution).toMatch(/^ \S.* The final answer is: \\boxed\{\d+\}$/s);
  });

  test('rows of verl lose the sentence on format, answers the dollar signs', async () => {
    const problems = await readDeepscaler(fixture('deepscalerVerl.jsonl'));
    expect(problems[0]).toEqual({
      id: 'deepscaler/deepscalerVerl/1',
      question:
        "Find the probability that a monkey typing randomly on a typewriter will type the string 'abc' before 'aaa'.",
      answer: '\\frac{3}{7}',
    });
    expect(problems.map(({ answer }) => answer)).toEqual(['\\frac{3}{7}', '-6', '\\frac{40}{9}']);
    for (const { question } of problems) expect(question).not.toMatch(/step by step|boxed/);
  });

  test('an empty solution is none', async () => {
    const row = { problem: 'p', answer: 1, solution: '' };
    expect(await readDeepscaler(rowsFile(row))).toEqual([{ id: 'deepscaler/rows/1', question: 'p', answer: '1' }]);
  });

  test.each([
    [{ problem: 'p', answer: ' ' }, /:1: answer: /],
    [{ problem: 'p', answer: '\\frac{k!}{(k-1)!' }, /:1: expected an answer whose braces match/],
    [{ prompt: [{ content: 'p' }], reward_model: {} }, /:1: .*answer: /],
    [{ prompt: [], reward_model: { ground_truth: '1' } }, /:1: problem: /],
  ])('%j is malformed', async (row, message) => {
    await expect(readDeepscaler(rowsFile(row))).rejects.toThrow(message);
  });
});

const whole = wholeSet('deepscaler/dsr_sub.jsonl');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  const told: number[] = [];
  const onMalformed = (rows: readonly { line: number }[]) => told.push(...rows.map(({ line }) => line));
  expect(await readDeepscaler(whole.path, { maxMalformed: 2, onMalformed })).toHaveLength(1207);
  expect(told).toEqual([266, 1188]);
});
