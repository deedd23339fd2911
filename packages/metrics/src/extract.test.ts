import { describe, expect, test } from 'vitest';
import { extractAnswer } from './extract.js';

describe('extractAnswer', () => {
  test.each([
    ['so \\boxed{\\frac{1}{2}}.', '\\frac{1}{2}'],
    ['\\boxed{1} or better \\boxed{2} papers and \\boxed{3} bins', '1 \\text{ or } 2, 3'],
    ['\\boxed{1}. Wait, no: \\boxed{2}', '2'],
    ['\\\\boxed{\\\\left( 3, 4 \\\\right)}', '\\left( 3, 4 \\right)'],
    ['\\boxed{6}. Final Answer: The final answer is $7$. I hope it is correct.', '7'],
    ['The final answer is 7, not \\boxed{6}', '6'],
    ['the answer is $x=5$ because $y=3$', 'x=5'],
    ['Answer: **-1/2**', '-1/2'],
    ['The answer is (C).', 'C'],
    ['The answer is 2\\sqrt{3}. Done.', '2\\sqrt{3}'],
    ['we get \\[ a \\] then \\( b \\) and $c$', ' b  \\text{ and } c'],
    ['it costs $5 and $6', 'it costs $5 and $6'],
    ['9 * 2 = $<<9*2=18>>18.\n#### 18', '18'],
    ['\\boxed{1}, so \\boxed{2}', '2'],
    ['\\boxed{1.5} or \\boxed{3/2}', '1.5 \\text{ or } 3/2'],
    ['$28$ percent', '28\\%'],
    ['just \\(\\boxed 12\\)', '\\boxed 12'],
  ])('%j gives %j', (text, want) => {
    expect(extractAnswer(text)?.text).toBe(want);
  });

  test.each(['', '  ', '\\boxed{1} and \\boxed{2', '\\boxed 12'])('%j gives none', (text) => {
    expect(extractAnswer(text)).toBeUndefined();
  });

  test.each([
    ['I count 34.', ['34']],
    ['It is 1/2 of it', ['1/2']],
    ['costs $1,000 in all', ['$1,000']],
    ['1000,99', ['1000.99']],
    ['**42**', ['42']],
    ['5 m', []],
    ['5x', []],
    ['sqrt 5', []],
    ['3 ab + 2', []],
  ])('%j can also be read as %j', (text, others) => {
    expect(extractAnswer(text)).toEqual({ text, others });
  });
});
