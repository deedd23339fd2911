import { expect, test } from 'vitest';
import { toProblem, withoutDollars } from './problem.js';

test.each([
  ['$\\frac{1}{2}$', '\\frac{1}{2}'],
  [' $5$ ', '5'],
  ['$1$, $2$', '$1$, $2$'],
  ['\\$5', '\\$5'],
  ['$5\\$', '$5\\$'],
  ['$5', '$5'],
  ['$$', '$$'],
  ['5', '5'],
])('withoutDollars of %s is %s', (answer, expected) => expect(withoutDollars(answer)).toBe(expected));

test('toProblem leaves out what its row lacks', () => {
  const found = { id: 'a', question: 'q', answer: '1' };
  expect(toProblem({ ...found, worked: undefined, level: undefined })).toEqual(found);
  expect(Object.keys(toProblem({ ...found, worked: null }))).toEqual(['id', 'question', 'answer']);
  expect(toProblem({ ...found, worked: '1.', level: 2 })).toEqual({
    ...found,
    solution: ' 1. The final answer is: \\boxed{1}',
    level: 2,
  });
});

test.each(['{1', '1}', '\\frac{1}{2'])('%s is no answer', (answer) => {
  expect(() => toProblem({ id: 'a', question: 'q', answer })).toThrow('expected an answer whose braces match');
});

test.each(['\\{1', '(0, 1]', '\\left\\{1\\right.'])('%s is one', (answer) => {
  expect(toProblem({ id: 'a', question: 'q', answer }).answer).toBe(answer);
});
