import { describe, expect, test } from 'vitest';
import { arithmetic } from './arithmetic.js';
import { arithmeticChoices } from './arithmeticChoices.js';
import { splitSolution } from './solution.js';

const options = { split: 'test', count: 300, seed: 1 } as const; // all five levels
const all = arithmeticChoices(options);

/** The steps that are false, by position; every step must start from the total before it. */
function wrongSteps(solution: string): number[] {
  const steps = [...solution.matchAll(/ (\d+)([-+*/])(\d+)=(\d+)\./g)];
  expect(`${steps.map(([text]) => text).join('')} The final answer is:`).toBe(splitSolution(solution).thought);
  let before: number | undefined;
  return steps.flatMap(([, a, sign, b, c], i) => {
    const [x, y, z] = [Number(a), Number(b), Number(c)];
    if (before !== undefined) expect(x).toBe(before);
    before = z;
    expect(z >= 0 && z <= 99).toBe(true);
    const right = { '+': x + y, '-': x - y, '*': x * y, '/': x / y }[sign!]!;
    expect(Number.isInteger(right) && right >= 0 && right <= 99).toBe(true);
    if (z !== right) expect(Math.abs(z - right)).toBeLessThanOrEqual(10);
    return z === right ? [] : [i];
  });
}

const resultOf = (solution: string) => splitSolution(solution).answer;

describe('arithmeticChoices', () => {
  test('golden', () => {
    // Pins the generator: whoever changes this changes every published number that was measured on the set.
    expect(arithmeticChoices({ split: 'test', count: 1, seed: 1, levels: [2] })).toEqual([
      {
        id: 'arithmetic/test/1/2*3*3',
        context:
          'Zoe has 2 cards. Now she has 3 times as many. Now she has 3 times as many. How many cards does Zoe have now?',
        choices: [
          ' 2*3=13. 13*3=39. The final answer is: \\boxed{39}',
          ' 2*3=6. 6*3=26. The final answer is: \\boxed{26}',
          ' 2*3=6. 6*3=18. The final answer is: \\boxed{18}',
          ' 2*3=6. 6*3=28. The final answer is: \\boxed{28}',
        ],
        correct: 2,
      },
    ]);
  });

  test('the problems are those of arithmetic, and the right choice is their solution', () => {
    const problems = arithmetic(options);
    expect(all.map(({ id }) => id)).toEqual(problems.map(({ id }) => id));
    all.forEach(({ context, choices, correct }, i) => {
      expect(context).toBe(problems[i]!.question);
      expect(choices[correct]).toBe(problems[i]!.solution);
    });
  });

  test('the others have one wrong step each, carried on to the end', () => {
    for (const { choices, correct } of all) {
      expect(choices).toHaveLength(4);
      choices.forEach((solution, i) => {
        expect(wrongSteps(solution)).toHaveLength(i === correct ? 0 : 1);
        expect(resultOf(solution)).toMatch(/^\d+\}$/);
      });
      expect(new Set(choices.map(resultOf)).size).toBe(4);
    }
  });

  test('right solutions stand everywhere, and every step is wrong somewhere', () => {
    const places = [0, 1, 2, 3].map((place) => all.filter(({ correct }) => correct === place).length);
    for (const count of places) expect(count).toBeGreaterThan(45); // 75 expected, standard deviation 7.5
    const hardest = arithmeticChoices({ ...options, count: 100, levels: [5] });
    const wrong = hardest.flatMap(({ choices }) => choices.flatMap(wrongSteps));
    for (let step = 0; step < 5; step++) expect(wrong.filter((at) => at === step).length).toBeGreaterThan(20);
  });

  test('the same options give the same choices; a larger count the same ones first; another seed others', () => {
    expect(arithmeticChoices(options)).toEqual(all);
    expect(arithmeticChoices({ ...options, count: 40 })).toEqual(all.slice(0, 40));
    expect(arithmeticChoices({ ...options, seed: 2 })).not.toEqual(all);
    expect(() => arithmeticChoices({ ...options, count: -1 })).toThrow('count');
  });

  test('every computation of the first level has three wrong solutions', () => {
    for (const split of ['train', 'validation', 'test'] as const) {
      const count = { train: 540, validation: 62, test: 73 }[split];
      expect(arithmeticChoices({ split, count, seed: 1, levels: [1] })).toHaveLength(count);
    }
  });
});
