import { describe, expect, test } from 'vitest';
import { parse } from './parse.js';
import { spell } from './tree.js';

describe('parse', () => {
  test.each([
    ['2x + 3', '+(*(2/1,x),3/1)'],
    ['2\\frac13', '+(/(1/1,3/1),2/1)'],
    ['2 \\cdot \\frac13', '*(/(1/1,3/1),2/1)'],
    ['2(1/3)', '*(/(1/1,3/1),2/1)'],
    ['3/4x', '*(/(3/1,4/1),x)'],
    ['x/2y', '/(x,*(2/1,y))'],
    ['-x^2', 'neg(^(x,2/1))'],
    ['2^10', '^(2/1,10/1)'],
    ['\\sqrt[3]2x', '*(^(2/1,/(1/1,3/1)),x)'],
    ['\\sin^2 x \\cos 2x', '*(^(sin(x),2/1),cos(*(2/1,x)))'],
    ['\\sin^{-1} x', 'arcsin(x)'],
    ['\\log_28', 'log(8/1,2/1)'],
    ['|x| - |-3|', '+(abs(x),neg(abs(-3/1)))'],
    ['a_{37}', 'a_37'],
    ['1,234', '1234/1'],
    ['(1,234)', 'tuple(1/1,234/1)'],
    ['(1,000, 2,000)', 'tuple(1000/1,2000/1)'],
    ['0.1\\overline{6}', '15/90'],
    ['1.5e-3', '15/10000'],
    ['(1,2]', '(1/1;2/1]'],
    [']1,2[', 'tuple(1/1,2/1)'],
    ['\\{2,1\\}', 'set(1/1,2/1)'],
    ['\\{x \\mid x > 2\\}', 'x>2/1'],
    ['a < b \\le c', 'a<b<=c'],
    ['x = 1 \\text{ or } x = 2', 'list(x=1/1,x=2/1)'],
    ['\\mathbb{R} \\setminus \\{0\\}', 'difference((neg(infinity());infinity()),set(0/1))'],
    ['\\pm 2', 'pm(2/1)'],
    ['\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}', 'matrix(1/1&2/1;3/1&4/1)'],
    ['\\begin{cases}x=1,\\\\y=2.\\end{cases}', 'list(x=1/1,y=2/1)'],
    ['5\\text{ cm}^2', 'unit(5/1,cm^2)'],
    ['90^\\circ', 'degree(90/1)'],
  ])('%s', (text, want) => {
    const tree = parse(text);
    expect(tree && spell(tree)).toBe(want);
  });

  test.each([
    '',
    '+',
    '2 3',
    '(1',
    '1)',
    '\\frac{1}',
    '\\sum_{n=1}^{10} n',
    '\\text{open',
    '6:3:1',
    '1, \\ldots, 5',
    '\\begin{pmatrix}1&2\\\\3\\end{pmatrix}',
    `${'('.repeat(200)}1${')'.repeat(200)}`,
  ])('%j is not read', (text) => {
    expect(parse(text)).toBeUndefined();
  });
});
