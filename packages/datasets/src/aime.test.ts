import { describe, expect, test } from 'vitest';
import { readAime } from './aime.js';
import { splitSolution } from './solution.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

describe('readAime', () => {
  test('golden: a real row of 2025', async () => {
    expect((await readAime(fixture('aime25.jsonl')))[0]).toEqual({
      id: 'aime/aime25/1',
      question:
        'Find the number of ordered pairs $(x,y)$, where both $x$ and $y$ are integers between $-100$ and $100$ inclusive, such that $12x^2-xy-6y^2=0$.',
      answer: '117',
    });
  });

  test('rows of 2024: leading zeros go, solutions come', async () => {
    const written = fixtureRows('aime24.jsonl').map(({ answer }) => answer as string);
    const problems = await readAime(fixture('aime24.jsonl'));
    expect(written.some((answer) => answer.startsWith('0'))).toBe(true);
    expect(problems.map(({ answer }) => answer)).toEqual(written.map((answer) => String(Number(answer))));
    for (const { answer, solution } of problems) expect(splitSolution(solution!).answer).toBe(`${answer}}`);
  });

  test.each([
    ['000', '0'],
    ['073', '73'],
    [5, '5'],
    ['336^\\circ', '336'],
    ['336^{\\circ}', '336'],
  ])('%j is %s', async (answer, expected) => {
    expect((await readAime(rowsFile({ problem: 'p', answer })))[0]!.answer).toBe(expected);
  });

  test.each(['1000', '-1', '1.5', 'x', '336^2', null])('%j is malformed', async (answer) => {
    await expect(readAime(rowsFile({ problem: 'p', answer }))).rejects.toThrow(/:1: /);
  });
});

const whole = wholeSet('aime24/test.public.jsonl');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  expect(await readAime(whole.path)).toHaveLength(15);
});
