import { type Rational, rationalPower, rationalTimes } from '../rational.js';
import { readBracket, readEnvironment } from './brackets.js';
import { type Cursor, unread } from './cursor.js';
import { call, symbol, type Tree, whole } from './tree.js';

/** Functions of one argument, which may stand without parentheses; by the name that `evaluate` knows. */
const functions: Record<string, string> = Object.fromEntries(
  'sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln exp'
    .split(' ')
    .map((name) => [name, name])
    .concat([
      ['tg', 'tan'],
      ['ctg', 'cot'],
      ['cosec', 'csc'],
      ['arctg', 'arctan'],
      ['lg', 'log'],
      ['log', 'log'],
    ]),
);
const inverses: Record<string, string> = { sin: 'arcsin', cos: 'arccos', tan: 'arctan' };

/** Commands that stand for a number or a set. */
const constants: Record<string, Tree> = {
  pi: call('pi'),
  infty: call('infinity'),
  infinity: call('infinity'),
  emptyset: { kind: 'set', items: [] },
  varnothing: { kind: 'set', items: [] },
  imath: call('i'),
};
/** Commands that dress a name up, or hold a group together. */
const dressing = new Set(
  'boxed fbox mathbf mathbb mathcal mathfrak boldsymbol bm vec hat tilde overrightarrow widehat underline ensuremath'.split(
    ' ',
  ),
);
const sets: Record<string, Tree> = {
  R: {
    kind: 'interval',
    low: call('neg', call('infinity')),
    high: call('infinity'),
    lowClosed: false,
    highClosed: false,
  },
};

/** `1.5e-3`, exactly. */
function readNumber(text: string): Tree {
  const [, digits = '', decimals = '', power = '0'] = /^(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const plain: Rational = { numerator: BigInt(digits + decimals || '0'), denominator: 10n ** BigInt(decimals.length) };
  const scale = rationalPower(10n, BigInt(power));
  if (scale === undefined) unread();
  return {
    kind: 'number',
    value: rationalTimes(plain, scale),
    decimal: text.includes('.'),
  };
}

/** 0.1\overline{6}: the digits under the line repeat for ever. */
function readRepeating(cursor: Cursor, text: string): Tree | undefined {
  const line = ['overline', 'bar', 'dot'].find((name) => cursor.peekCommand(name));
  if (line === undefined || !/^\d*\.?\d*$/.test(text)) return undefined;
  const braced = cursor.peek(1)?.text === '{' && cursor.peek(3)?.text === '}';
  const repeated = cursor.peek(braced ? 2 : 1);
  if (repeated?.type !== 'number' || !/^\d+$/.test(repeated.text)) return undefined;
  cursor.skip(braced ? 4 : 2);
  const [front, decimals = ''] = text.split('.');
  const nines = BigInt('9'.repeat(repeated.text.length));
  const before = BigInt(front + decimals);
  return {
    kind: 'number',
    decimal: false,
    value: {
      numerator: before * nines + BigInt(repeated.text),
      denominator: nines * 10n ** BigInt(decimals.length),
    },
  };
}

/** A number, a name, a group in brackets, or a command with its arguments. */
export function readPrimary(cursor: Cursor): Tree {
  const token = cursor.peek();
  if (token === undefined) unread();
  switch (token.type) {
    case 'number': {
      cursor.skip(1);
      const pointed = cursor.peek()?.text === '.' && ['overline', 'bar', 'dot'].includes(cursor.peek(1)?.text ?? '');
      if (pointed) cursor.skip(1);
      return readRepeating(cursor, token.text) ?? readNumber(token.text);
    }
    case 'word':
      cursor.skip(1);
      return readWords(cursor, token.text);
    case 'letter':
      cursor.skip(1);
      return readName(cursor, token.text);
    case 'command':
      cursor.skip(1);
      return readCommand(cursor, token.text);
    case 'sign':
      return readBracket(cursor);
  }
}

/** Text that names something: words are joined. */
function readWords(cursor: Cursor, first: string): Tree {
  let name = first;
  while (cursor.peek()?.type === 'word') name += ` ${cursor.next().text}`;
  return symbol(name);
}

/** A letter with its subscript. */
function readName(cursor: Cursor, letter: string): Tree {
  if (!cursor.eat('_')) {
    if (letter === 'e') return call('e');
    return letter === 'i' ? call('i') : symbol(letter);
  }
  return symbol(`${letter}_${subscript(cursor)}`);
}

/** A subscript as text, so that a_3 and a_{3} are one name. */
function subscript(cursor: Cursor): string {
  if (!cursor.eat('{')) return cursor.next().text;
  let text = '';
  for (let depth = 1; ; ) {
    const token = cursor.next();
    if (token.type === 'sign' && token.text === '{') depth++;
    if (token.type === 'sign' && token.text === '}' && --depth === 0) return text;
    text += token.text;
  }
}

function readCommand(cursor: Cursor, name: string): Tree {
  if (Object.hasOwn(functions, name)) return readFunction(cursor, functions[name]!);
  switch (name) {
    case 'frac':
    case 'dfrac':
    case 'tfrac':
    case 'cfrac':
      return call('/', cursor.argument(), cursor.argument());
    case 'binom':
    case 'dbinom':
    case 'tbinom':
      return call('binomial', cursor.argument(), cursor.argument());
    case 'sqrt': {
      const degree = readDegree(cursor);
      const inside = cursor.peek()?.text === '(' ? readPrimary(cursor) : cursor.argument();
      return call('^', inside, call('/', whole(1), degree));
    }
    case 'lvert':
    case 'vert':
      return readBetween(cursor, ['rvert', 'vert'], 'abs');
    case 'lfloor':
      return readBetween(cursor, ['rfloor'], 'floor');
    case 'lceil':
      return readBetween(cursor, ['rceil'], 'ceil');
    case 'lbrace':
    case 'langle':
    case 'lbrack':
      return readBracket(cursor, name);
    case 'begin':
      return readEnvironment(cursor);
    case 'angle':
    case 'triangle':
    case 'measuredangle': // a name follows
      return cursor.factor();
    case 'overline': {
      const inside = cursor.argument();
      return inside.kind === 'number' ? call('overline', inside) : inside;
    }
    case 'max':
    case 'min':
    case 'gcd':
    case 'lcm':
      return readArguments(cursor, name);
    case 'ldots':
    case 'cdots':
    case 'dots':
    case 'sum':
    case 'prod':
    case 'int':
    case 'lim':
    case 'end':
      unread();
  }
  if (dressing.has(name)) return readDressed(cursor, name);
  if (Object.hasOwn(constants, name)) return constants[name]!;
  return readGreek(cursor, name);
}

/** A Greek letter, or any command that is not known: a name. */
function readGreek(cursor: Cursor, name: string): Tree {
  return symbol(cursor.eat('_') ? `${name}_${subscript(cursor)}` : name);
}

function readDressed(cursor: Cursor, name: string): Tree {
  const letter = cursor.peek(1)?.text ?? '';
  if ((name === 'boxed' || name === 'fbox') && cursor.peek()?.text !== '{') return cursor.factor(); // \boxed 12
  if (name === 'mathbb' && cursor.peek()?.text === '{' && cursor.peek(2)?.text === '}') {
    cursor.skip(3);
    return sets[letter] ?? symbol(`set ${letter}`);
  }
  const inside = cursor.argument();
  if (inside.kind !== 'symbol' || !cursor.eat('_')) return inside;
  return symbol(`${inside.name}_${subscript(cursor)}`);
}

function readDegree(cursor: Cursor): Tree {
  if (!cursor.eat('[')) return whole(2);
  const degree = cursor.sum();
  cursor.expect(']');
  return degree;
}

function readBetween(cursor: Cursor, ends: readonly string[], name: string): Tree {
  const inside = cursor.sum();
  if (!ends.some((end) => cursor.eatCommand(end))) unread();
  return call(name, inside);
}

function readArguments(cursor: Cursor, name: string): Tree {
  const inside = readBracket(cursor);
  const items = inside.kind === 'tuple' || inside.kind === 'set' ? inside.items : [inside];
  return call(name, ...items);
}

/** sin x, sin(x), sin^2 x, log_2 8: the argument reaches to the next sign or function. */
function readFunction(cursor: Cursor, name: string): Tree {
  let base: Tree | undefined;
  let power: Tree | undefined;
  let inverse = false;
  for (;;) {
    if (name === 'log' && base === undefined && cursor.eat('_')) base = cursor.argument();
    else if (power === undefined && !inverse && cursor.eat('^')) {
      const exponent = cursor.argument();
      inverse = exponent.kind === 'number' && exponent.value.numerator === -1n && Object.hasOwn(inverses, name);
      power = inverse ? undefined : exponent;
    } else break;
  }
  const argument = readFunctionArgument(cursor);
  const known = inverse ? inverses[name]! : name;
  const value = known === 'log' ? call('log', argument, base ?? whole(10)) : call(known, argument);
  return power ? call('^', value, power) : value;
}

function readFunctionArgument(cursor: Cursor): Tree {
  if (cursor.peek()?.text === '(' || cursor.peek()?.text === '{') return readPrimary(cursor);
  let minus = false;
  while (cursor.eat('-')) minus = !minus;
  let argument = cursor.factor();
  for (;;) {
    const token = cursor.peek();
    const ends = token?.type === 'command' && Object.hasOwn(functions, token.text);
    if (ends || token?.text === '(' || token?.type === 'word' || !cursor.startsFactor()) break;
    argument = call('*', argument, cursor.factor());
  }
  if (argument.kind === 'number' || argument.kind === 'call') {
    if (cursor.peek()?.text === '/' && cursor.peek(1)?.type === 'number') {
      cursor.skip(1); // sin pi/6
      argument = call('/', argument, cursor.factor());
    }
  }
  return minus ? call('neg', argument) : argument;
}
