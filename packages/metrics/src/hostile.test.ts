// What a model may write to waste time: each is answered, none is accepted. A stuck test fails by its time limit.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verify } from './verify.js';

const golds = ['5', '$x^2+1$', '$\\{1,2\\}$', '$x>1$', '$\\begin{pmatrix}1&1\\\\1&1\\end{pmatrix}$'];

describe.each([1e6, 990])('%d characters', (length) => {
  test.each([
    ...[
      '\\boxed{',
      '9^',
      '\\frac{',
      '\\frac12',
      '$',
      '$$',
      '{',
      '}',
      '(',
      '[',
      '\\{',
      '|',
      '\\left(',
      '\\text{',
      '\\(',
    ],
    ...[
      'x^',
      'x^{',
      '\\sqrt',
      '\\sqrt{',
      '\\log_',
      '\\sin',
      'sin ',
      '-',
      '+',
      '\\pm ',
      '!',
      '%',
      '/',
      '1/',
      '1,',
      '1,000',
    ],
    ...[
      'and ',
      'answer is ',
      'final answer is ',
      '$1$, ',
      '\\boxed{1}, ',
      'a,b',
      'x=',
      'x<',
      'x>1,',
      '1 000 ',
      '1e9999',
    ],
    ...['((9!)!)!', '\\binom{500}{250}', '9^{9^{9^{9}}}+', '\\gcd(1,2)', '(1,2)\\cup', '\\mathbb{R}\\setminus', '\\\\'],
    ...[
      '\\begin{pmatrix}1&1\\\\1&1\\end{pmatrix}',
      '\\begin{vmatrix}a&b\\\\c&d\\end{vmatrix}',
      '\n',
      '\u0000',
      '\ud83d',
    ],
  ])('of %j', (unit) => {
    const body = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
    for (const gold of golds) {
      for (const text of [`\\boxed{${body}}`, `$${body}$`, `The answer is ${body}`]) {
        expect(verify(text, gold).correct).toBe(false);
      }
    }
  });
});

test.each([
  '9^{9^{9^9}}',
  '((((9!)!)!)!)!',
  '10^{10^{10}}-10^{10^{10}}+5',
  'e^{e^{e^{e^{e}}}}',
  '\\sqrt[1000000]{2}',
  '\\binom{10^9}{10^8}',
  '\\sum_{n=1}^{10^9} n',
  '1e999999',
  '(-1)^{10^{100}}+5',
  'x^{1000000}',
  `${'1'.repeat(900)}^{20}`,
  `${'('.repeat(400)}5${')'.repeat(400)}`,
  `${'\\sqrt{'.repeat(140)}5${'}'.repeat(140)}`,
])('%s is not 5', (answer) => {
  expect(verify(`\\boxed{${answer}}`, '5')).toMatchObject({ correct: false, reason: 'different' });
});

test('never throws, whatever a model writes', () => {
  const pieces = [
    ...[
      '1',
      '23',
      '0.5',
      'x',
      'y',
      'e',
      'i',
      '\\pi',
      '+',
      '-',
      '*',
      '/',
      '^',
      '_',
      '!',
      '%',
      '=',
      '<',
      '\\le ',
      '\\in ',
    ],
    ...[
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
      '\\{',
      '\\}',
      '|',
      ',',
      ';',
      ':',
      '.',
      "'",
      '&',
      '\\\\',
      ' ',
      '$',
      '\\cup ',
      '\\pm ',
    ],
    ...[
      '\\frac',
      '\\sqrt',
      '\\sin ',
      '\\log_',
      '\\text{ cm}',
      '\\text{ or }',
      '^\\circ',
      '\\infty',
      '\\mathbb{R}',
      '\\binom',
    ],
    ...[
      '\\begin{pmatrix}',
      '\\end{pmatrix}',
      '\\begin{cases}',
      '\\end{cases}',
      '\\overline{3}',
      '\\approx ',
      'answer is ',
    ],
  ];
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, fc.constantFrom(...golds), (answer, other, gold) => {
      verify(answer, gold);
      verify(`\\boxed{${answer}}`, gold);
      verify(answer, `1 ${other} 1`);
    }),
    { numRuns: 2000 },
  );
});
