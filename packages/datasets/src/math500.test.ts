import { describe, expect, test } from 'vitest';
import { readMath500 } from './math500.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

describe('readMath500', () => {
  test('golden: a real row', async () => {
    expect((await readMath500(fixture('math500.jsonl')))[0]).toEqual({
      id: 'math500/test/algebra/1255',
      question: 'Evaluate $\\log_264$.',
      answer: '6',
      solution: ' We have $2^6=64$, so $\\log_2 64 = \\boxed{6}$. The final answer is: \\boxed{6}',
      level: 2,
    });
  });

  test('the answer is the field, whatever the solution boxes', async () => {
    const row = { ...fixtureRows('math500.jsonl')[0]!, answer: '\\frac{1}{2}' };
    expect((await readMath500(rowsFile(row)))[0]!.answer).toBe('\\frac{1}{2}');
  });

  test.each([
    [{ answer: undefined }, /:1: answer: expected text or a number/],
    [{ answer: '\\frac{1}{2' }, /:1: expected an answer whose braces match, got "\\\\frac\{1\}\{2"/],
    [{ level: 'Level 1' }, /:1: level: /],
    [{ unique_id: '' }, /:1: unique_id: /],
  ])('%j is malformed', async (wrong, message) => {
    await expect(readMath500(rowsFile({ ...fixtureRows('math500.jsonl')[0], ...wrong }))).rejects.toThrow(message);
  });
});

const whole = wholeSet('math500/test.public.jsonl');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  expect(await readMath500(whole.path)).toHaveLength(257);
});
