// Equal however it is set, and unequal after the smallest change of meaning.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verify } from './verify.js';

const correct = (answer: string, gold: string) => verify(`\\boxed{${answer}}`, gold).correct;
const digit = fc.integer({ min: 1, max: 9 });
const small = fc.integer({ min: 1, max: 999 });

/** A formula over x and y from its leaves up, with a like formula that has one leaf changed. */
const formula = fc.letrec<{ leaf: Pair; tree: Pair }>((tie) => ({
  leaf: fc.oneof(
    small.map((n): Pair => [String(n), String(n + 1)]),
    fc.constantFrom<Pair>(['x', 'y'], ['y', 'x'], ['\\pi', '3'], ['\\sqrt{2}', '\\sqrt{3}']),
  ),
  tree: fc.oneof(
    { maxDepth: 3 },
    tie('leaf'),
    fc
      .tuple(tie('tree'), tie('leaf'), fc.constantFrom('+', '-'))
      .map(([[a, changed], [b], sign]): Pair => [`(${a} ${sign} ${b})`, `(${changed} ${sign} ${b})`]),
    fc.tuple(tie('tree'), digit).map(([[a, changed], n]): Pair => [`\\frac{${a}}{${n}}`, `\\frac{${changed}}{${n}}`]),
    fc.tuple(tie('tree'), digit).map(([[a, changed], n]): Pair => [`${n}(${a})`, `${n}(${changed})`]),
  ),
})).tree;
type Pair = [formula: string, changed: string];

describe('equal after reformatting', () => {
  const settings: ((text: string) => string)[] = [
    (text) => text.replaceAll(' ', ''),
    (text) => text.replaceAll(/([-+()])/g, ' $1\\, '),
    (text) => text.replaceAll('(', '\\left(').replaceAll(')', '\\right)'),
    (text) => text.replaceAll('\\frac', '\\dfrac'),
    (text) => `$${text}$`,
    (text) => `$$ ${text} $$`,
    (text) => `\\displaystyle ${text}.`,
    (text) => `\\(${text}\\)`,
    (text) => `{${text}}`,
    (text) => text.replaceAll('(', '[').replaceAll(')', ']'),
    (text) => text.replaceAll('x', '{x}').replaceAll('\\pi', 'π'),
  ];

  const sums: ((text: string) => string)[] = [
    (text) => text,
    (text) => `0 + ${text}`,
    (text) => `${text} \\cdot 1`,
    (text) => `-(-${text})`,
  ];

  test('formulas', () => {
    fc.assert(
      fc.property(formula, fc.constantFrom(...sums), fc.constantFrom(...settings), ([text], first, then) => {
        expect(correct(then(first(text)), text)).toBe(true);
        expect(correct(text, then(first(text)))).toBe(true);
      }),
    );
  });

  test('numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 9 }), fc.integer({ min: 0, max: 5 }), (n, zeros) => {
        const gold = String(n);
        expect(correct(n.toLocaleString('en-US'), gold)).toBe(true);
        expect(correct(n.toLocaleString('en-US').replaceAll(',', '{,}'), gold)).toBe(true);
        expect(correct(`${n}.${'0'.repeat(zeros + 1)}`, gold)).toBe(true);
        expect(correct(`\\text{${n}}`, gold)).toBe(true);
        expect(correct(`x = ${n}`, gold)).toBe(true);
        expect(correct(`${n} \\text{ cm}`, gold)).toBe(true);
        expect(correct(`${n}^\\circ`, gold)).toBe(true);
        expect(correct(`\\$${n}`, gold)).toBe(true);
      }),
    );
  });

  test('fractions, mixed numbers, quotients and decimals', () => {
    fc.assert(
      fc.property(small, digit, fc.constantFrom(2, 4, 5, 8, 10, 16), (whole, above, below) => {
        const gold = `\\frac{${whole * below + above}}{${below}}`;
        expect(correct(`${whole * below + above}/${below}`, gold)).toBe(true);
        expect(correct(String(whole + above / below), gold)).toBe(true);
        expect(correct(`${whole} + \\tfrac{${above}}{${below}}`, gold)).toBe(true);
        expect(correct(`${whole}\\frac{${above}}{${below}}`, gold)).toBe(true);
      }),
    );
  });

  test('the order of a set, and only of a set', () => {
    const several = fc.uniqueArray(small, { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(several, (items) => {
        const turned = items.toReversed().join(', ');
        expect(correct(`\\{${turned}\\}`, `\\{${items.join(',')}\\}`)).toBe(true);
        expect(correct(turned, items.join(' , '))).toBe(true);
        expect(correct(`(${turned})`, `(${items.join(', ')})`)).toBe(false);
        expect(correct(`\\{${items.slice(1).join(',')}\\}`, `\\{${items.join(',')}\\}`)).toBe(false);
      }),
    );
  });
});

describe('unequal after a change', () => {
  test('of a leaf of a formula', () => {
    fc.assert(
      fc.property(formula, ([text, changed]) => {
        expect(correct(changed, text)).toBe(false);
      }),
    );
  });

  test('of a digit', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[1-9]\d{0,11}(\.\d{1,5}[1-9])?$/),
        fc.nat(),
        fc.integer({ min: 1, max: 9 }),
        (text, place, by) => {
          const at = [...text.matchAll(/\d/g)].map(({ index }) => index);
          const i = at[place % at.length]!;
          const changed = text.slice(0, i) + ((Number(text[i]) + by) % 10) + text.slice(i + 1);
          expect(correct(changed, text)).toBe(false);
          if (text.length <= 12) expect(correct(`\\sqrt{${changed}}`, `\\sqrt{${text}}`)).toBe(false);
          expect(correct(`${changed}x`, `${text}x`)).toBe(false);
        },
      ),
    );
  });

  test('of a sign or a bracket', () => {
    const brackets = fc.constantFrom('()', '(]', '[)', '[]');
    fc.assert(
      fc.property(small, small, brackets, brackets, (low, width, [open, close], [other, another]) => {
        const [a, b] = [low, low + width];
        expect(correct(`-${a}`, String(a))).toBe(false);
        expect(correct(`${open}-${a}, ${b}${close}`, `${open}${a},${b}${close}`)).toBe(false);
        const same = open === other && close === another;
        expect(correct(`${other}${a}, ${b}${another}`, `${open}${a},${b}${close}`)).toBe(same);
      }),
    );
  });
});
