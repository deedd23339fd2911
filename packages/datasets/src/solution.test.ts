import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arithmetic } from './arithmetic.js';
import { prefill } from './prompts.js';
import { lastBox, splitSolution, taughtSolution } from './solution.js';

describe('splitSolution', () => {
  test('by hand', () => {
    expect(splitSolution(' 7+5=12. The final answer is: \\boxed{12}')).toEqual({
      thought: ' 7+5=12. The final answer is:',
      answer: '12}',
    });
    expect(splitSolution('The final answer is:\\boxed{\\frac{1}{2}}\n').answer).toBe('\\frac{1}{2}}');
    expect(splitSolution('The final answer is: \\boxed{\\}}').answer).toBe('\\}}');
  });

  test('thought, prefill and answer make up the solution again, but for one space', () => {
    for (const { solution } of arithmetic({ split: 'train', count: 50, seed: 1 })) {
      const { thought, answer } = splitSolution(solution!);
      expect(`${thought} ${prefill.stopped}${answer}`).toBe(solution);
    }
  });

  test('any balanced content', () => {
    const content = fc.array(fc.constantFrom('1', 'x', '{2}', '\\{', '\\frac{1}{{3}}')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(content, (inside) => {
        expect(splitSolution(`The final answer is: \\boxed{${inside}}`).answer).toBe(`${inside}}`);
      }),
    );
  });

  test.each([
    ['7+5=12. \\boxed{12}', 'no stop phrase'],
    ['The final answer is: 3. The final answer is: \\boxed{3}', '2 stop phrases'],
    ['The final answer is: 12', 'no box after the stop phrase'],
    ['The final answer is: about \\boxed{12}', 'no box after'],
    ['The final answer is: \\boxed{12', 'a box that is never closed'],
    ['The final answer is: \\boxed{{12}', 'never closed'],
    ['The final answer is: \\boxed{12}.', 'text after the box'],
    ['The final answer is: \\boxed{1}2}', 'text after the box'],
    ['', 'no stop phrase'],
  ])('%j: %s', (solution, message) => {
    expect(() => splitSolution(solution)).toThrow(message);
  });
});

describe('lastBox', () => {
  test.each([
    ['so \\boxed{1}, no, \\boxed{\\frac{1}{2}}.', '\\frac{1}{2}'],
    ['$\\boxed {17}.$', '17'],
    ['is $\\boxed 2$ apples', '2'],
    ['is $\\boxed 2', '2'],
    ['\\boxed{\\left\\{1\\right\\}}', '\\left\\{1\\right\\}'],
    ['\\boxed{ 5 }', '5'],
    ['\\boxed{1} and \\boxed{}', undefined],
    ['\\boxed{1} and \\boxed{2', undefined],
    ['5', undefined],
  ])('%s', (worked, expected) => expect(lastBox(worked)).toBe(expected));
});

describe('taughtSolution', () => {
  test('splits into what it was made of', () => {
    expect(taughtSolution(' 7+5=12.\n', '12')).toBe(' 7+5=12. The final answer is: \\boxed{12}');
    expect(taughtSolution('', '12')).toBe(' The final answer is: \\boxed{12}');
    expect(splitSolution(taughtSolution('a', '\\frac{1}{2}')!).answer).toBe('\\frac{1}{2}}');
  });

  test('none where generation would stop inside', () => {
    expect(taughtSolution('The final answer is: 3.', '3')).toBeUndefined();
  });
});
