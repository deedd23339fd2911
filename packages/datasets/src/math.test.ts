import { describe, expect, test } from 'vitest';
import { readMath } from './math.js';
import { splitSolution } from './solution.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

describe('readMath', () => {
  test('golden: a real row', async () => {
    expect((await readMath(fixture('math.jsonl'))).find(({ id }) => id.endsWith('2655'))).toEqual({
      id: 'math/train/algebra/2655',
      question: 'Simplify $t^3\\cdot t^4$.',
      answer: 't^7',
      solution: ' $t^3\\cdot t^4 = t^{3+4} = \\boxed{t^7}$. The final answer is: \\boxed{t^7}',
      level: 1,
    });
  });

  test('answers with braces, with a space before them, and without any; a level that is none', async () => {
    const problems = await readMath(fixture('math.jsonl'));
    expect(problems.map(({ answer, level }) => [answer, level])).toEqual([
      ['t^7', 1],
      ['2', 3],
      ['24', undefined],
      ['17', 2],
      ['\\frac13', 2],
    ]);
  });

  test('a row without unique_id is named by file and line', async () => {
    const { unique_id, ...row } = fixtureRows('math.jsonl')[0]!;
    expect((await readMath(rowsFile(row)))[0]!.id).toBe('math/rows/1');
  });

  test.each([
    [{ solution: 'It is 5.' }, /:2: expected a solution with a \\boxed\{answer\}, got "It is 5\."/],
    [{ solution: 'It is $\\boxed{}$.' }, /:2: expected a solution with a/],
    [{ solution: 'It is $\\boxed{\\frac{1}{2}$.' }, /:2: expected a solution with a/],
    [{ solution: null }, /:2: solution: /],
    [{ problem: ' ' }, /:2: problem: expected text, got none/],
    [{ unique_id: 'train/algebra/2655.json' }, /:2: expected ids that differ/],
  ])('%j is malformed', async (wrong, message) => {
    const [row, other] = fixtureRows('math.jsonl').sort((a) => (a.unique_id === 'train/algebra/2655.json' ? -1 : 1));
    await expect(readMath(rowsFile(row, { ...other, ...wrong }))).rejects.toThrow(message);
  });
});

const whole = wholeSet('math/train.jsonl.gz');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  const told: number[] = [];
  const onMalformed = (rows: readonly { line: number }[]) => told.push(...rows.map(({ line }) => line));
  const problems = await readMath(whole.path, { maxMalformed: 2, onMalformed });
  expect([problems.length, told]).toEqual([7498, [5530, 5532]]);
  for (const { answer, solution } of problems) expect(splitSolution(solution!).answer).toBe(`${answer}}`);
});
