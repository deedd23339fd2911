import { describe, expect, test } from 'vitest';
import { readAmc } from './amc.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

describe('readAmc', () => {
  test('golden: a real row; floating-point answers as their shortest text', async () => {
    const problems = await readAmc(fixture('amc23.jsonl'));
    expect(problems[0]).toEqual({
      id: 'amc/amc23/1',
      question: 'Positive real numbers $x$ and $y$ satisfy $y^3=x^2$ and $(y-x)^2=4y^2$. What is $x+y$?',
      answer: '36',
    });
    expect(problems.map(({ answer }) => answer)).toEqual(['36', '-1', '18']);
  });

  test.each([{ answer: null }, { answer: '' }, { problem: undefined }])('%j is malformed', async (wrong) => {
    await expect(readAmc(rowsFile({ ...fixtureRows('amc23.jsonl')[0], ...wrong }))).rejects.toThrow(
      new RegExp(`:1: ${Object.keys(wrong)[0]}: `),
    );
  });
});

const whole = wholeSet('amc23/test.public.jsonl');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  expect(await readAmc(whole.path)).toHaveLength(20);
});
