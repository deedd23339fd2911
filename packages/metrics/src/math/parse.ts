import { Cursor, Unread, unread } from './cursor.js';
import { readPrimary } from './primary.js';
import { type Token, tokens } from './tokens.js';
import { call, negate, type RelationSign, symbol, type Tree } from './tree.js';

const relationSigns: Record<string, RelationSign> = {
  '=': '=',
  '<': '<',
  '>': '>',
  '<=': '<=',
  '>=': '>=',
  '!=': '!=',
  lt: '<',
  gt: '>',
  le: '<=',
  leq: '<=',
  leqslant: '<=',
  ge: '>=',
  geq: '>=',
  geqslant: '>=',
  ne: '!=',
  neq: '!=',
  approx: '~',
  sim: '~',
  simeq: '~',
  in: 'in',
  notin: 'notin',
  equiv: 'equiv',
  subset: 'subset',
  subseteq: 'subset',
};

const setSigns = { cup: 'union', cap: 'intersection', setminus: 'difference', backslash: 'difference' } as const;

/**
 * Reads an answer as a tree, or returns undefined for what is no formula that it knows.
 *
 * - `text`: LaTeX or typed, at most 1,000 characters; depth and cost are bounded
 *
 * @example parse('x = \\frac12 + 3') // a relation of the symbol x and a sum
 */
export function parse(text: string): Tree | undefined {
  const cut = tokens(text);
  if (cut === undefined) return undefined;
  const cursor = new Cursor(cut, { list: readList, sum: readSum, factor: readFactor, primary: readPrimary });
  try {
    const tree = readList(cursor);
    while (cursor.eat('.') || cursor.eat('\\\\') || cursor.eat(',')) {} // what a sentence leaves behind
    return cursor.atEnd ? tree : undefined;
  } catch (error) {
    if (error instanceof Unread) return undefined;
    throw error;
  }
}

/** Answers separated by commas, semicolons, `and`, `or`; a single one stands for itself. */
function readList(cursor: Cursor): Tree {
  const items = [readRelation(cursor)];
  let word: ',' | 'and' | 'or' = ',';
  for (;;) {
    const mark = cursor.mark();
    let separated = false;
    for (;;) {
      if (cursor.eat(',') || cursor.eat(';')) separated = true;
      else if (cursor.eatCommand('and') || cursor.eatCommand('wedge')) [separated, word] = [true, 'and'];
      else if (cursor.eatCommand('or') || cursor.eatCommand('vee')) [separated, word] = [true, 'or'];
      else break;
    }
    if (!separated) break;
    if (!cursor.startsValue()) {
      cursor.reset(mark); // a comma at the end
      break;
    }
    items.push(readRelation(cursor));
  }
  return items.length === 1 ? items[0]! : { kind: 'list', items, word };
}

function relationSign(token: Token | undefined): RelationSign | undefined {
  if (token === undefined || (token.type !== 'sign' && token.type !== 'command')) return undefined;
  return Object.hasOwn(relationSigns, token.text) ? relationSigns[token.text] : undefined;
}

function readRelation(cursor: Cursor): Tree {
  cursor.eatCommand('approx'); // alone in front of a rounded number
  const sides = [readSets(cursor)];
  const signs: RelationSign[] = [];
  for (;;) {
    const negated = cursor.peekCommand('not');
    const sign = relationSign(cursor.peek(negated ? 1 : 0));
    if (sign === undefined) break;
    cursor.skip(negated ? 2 : 1);
    signs.push(negated ? (sign === 'in' ? 'notin' : '!=') : sign);
    sides.push(readSets(cursor));
  }
  const modulus = cursor.eatCommand('pmod') || cursor.eatCommand('mod') ? readFactor(cursor) : undefined;
  const last = sides.length - 1;
  if (modulus) sides[last] = call('mod', sides[last]!, modulus);
  return signs.length === 0 ? sides[0]! : { kind: 'relation', sides, signs };
}

/** Unions, intersections and differences of sets. */
function readSets(cursor: Cursor): Tree {
  let tree = readSum(cursor);
  for (;;) {
    const token = cursor.peek();
    if (token?.type !== 'command' && token?.text !== '\\\\') return tree;
    const name = token.text;
    if (!Object.hasOwn(setSigns, name)) {
      const union = name === 'or' && isPiece(tree) && cursor.peek(1) !== undefined;
      if (!union) return tree;
      const mark = cursor.mark();
      cursor.skip(1);
      const next = cursor.startsValue() ? readSum(cursor) : undefined;
      if (next === undefined || !isPiece(next)) {
        cursor.reset(mark);
        return tree;
      }
      tree = { kind: 'sets', operator: 'union', items: [tree, next] };
      continue;
    }
    cursor.skip(1);
    tree = { kind: 'sets', operator: setSigns[name as keyof typeof setSigns], items: [tree, readSum(cursor)] };
  }
}

const isPiece = (tree: Tree) => tree.kind === 'interval' || tree.kind === 'sets';

/** Terms with `+`, `-`, ± and ∓ between or in front. */
function readSum(cursor: Cursor): Tree {
  cursor.enter();
  const items: Tree[] = [];
  for (let first = true; ; first = false) {
    const sign = readSign(cursor);
    if (sign === undefined) {
      if (!first) break;
      items.push(readTerm(cursor));
      continue;
    }
    const term = cursor.eat('-') ? negate(readTerm(cursor)) : readTerm(cursor); // 5 + -3
    items.push(sign === '+' ? term : sign === '-' ? negate(term) : call(sign, term));
  }
  cursor.leave();
  if (items.length === 1) return items[0]!;
  return withoutSets(items) ?? call('+', ...items);
}

const isSet = (tree: Tree | undefined) => tree !== undefined && ['interval', 'sets', 'set'].includes(tree.kind);

/** A set minus sets, such as R - {0}. */
function withoutSets(items: readonly Tree[]): Tree | undefined {
  const taken = items.slice(1).map((item) => (item.kind === 'call' && item.name === 'neg' ? item.items[0] : undefined));
  if (!isSet(items[0]) || !taken.every(isSet)) return undefined;
  return { kind: 'sets', operator: 'difference', items: [items[0]!, ...(taken as Tree[])] };
}

function readSign(cursor: Cursor): '+' | '-' | 'pm' | 'mp' | undefined {
  if (cursor.peek()?.text === '+' && cursor.peek(1)?.text === '/' && cursor.peek(2)?.text === '-') {
    cursor.skip(3);
    return 'pm';
  }
  if (cursor.eat('+')) return '+';
  if (cursor.eat('-')) return '-';
  if (cursor.eatCommand('pm')) return 'pm';
  return cursor.eatCommand('mp') ? 'mp' : undefined;
}

const timesCommands = ['times', 'cdot', 'ast', 'bullet'];

/** Factors with a sign of multiplication or division between, or side by side. */
function readTerm(cursor: Cursor): Tree {
  let tree = readProduct(cursor);
  let ratios = 0;
  for (;;) {
    if (cursor.peek()?.text === ':' && ++ratios > 1) unread(); // 6:3:1 is no number
    if (cursor.eat('*') || timesCommands.some((name) => cursor.eatCommand(name))) {
      tree = call('*', tree, readSigned(cursor, readProduct));
    } else if (
      cursor.eat('/') ||
      (!cursor.inSet && cursor.eat(':')) ||
      cursor.eatCommand('div') ||
      cursor.eatCommand('colon')
    ) {
      if (cursor.peek()?.type === 'word' || (isUnit(tree) && cursor.peek()?.type === 'letter')) {
        cursor.skip(1); // km/h
        tree = call('unit', tree, symbol('per'));
        continue;
      }
      // 3/4x is three quarters of x, and 1/2x^2 so too; x/2y is x over 2y, as set in print
      const simple = tree.kind === 'number' && cursor.peek()?.type === 'number';
      tree = call('/', tree, simple ? readFactor(cursor) : readSigned(cursor, readProduct));
      if (!simple || !cursor.startsFactor()) continue;
      tree = cursor.peek()?.type === 'word' ? readUnit(cursor, tree) : call('*', tree, readProduct(cursor));
    } else return tree;
  }
}

const isUnit = (tree: Tree) => tree.kind === 'call' && tree.name === 'unit';

function readSigned(cursor: Cursor, read: (cursor: Cursor) => Tree): Tree {
  if (cursor.eat('-')) return negate(read(cursor));
  cursor.eat('+');
  return read(cursor);
}

const isWhole = (tree: Tree | undefined): boolean =>
  tree?.kind === 'number' && !tree.decimal && tree.value.denominator === 1n && tree.value.numerator >= 0n;

/** A whole number and the fraction behind it as a mixed number, its percent or degree sign for the whole. */
function mixed(front: Tree, next: Tree): Tree | undefined {
  if (!isWhole(front) || next.kind !== 'call') return undefined;
  if (next.name === '/' && next.items.every(isWhole)) return call('+', front, next);
  const inside = next.name === '%' || next.name === 'degree' ? mixed(front, next.items[0]!) : undefined;
  return inside && call(next.name, inside);
}

/** Factors side by side: 2x, 2(x + 1), and mixed numbers. Words behind are a unit. */
function readProduct(cursor: Cursor): Tree {
  let tree = readFactor(cursor);
  while (cursor.startsFactor()) {
    const token = cursor.peek()!;
    if (token.type === 'word') {
      tree = readUnit(cursor, tree);
      continue;
    }
    if (token.type === 'number' && tree.kind === 'number') return readMixed(cursor, tree);
    const next = readFactor(cursor);
    tree = (/^[dtc]?frac$/.test(token.text) && mixed(tree, next)) || call('*', tree, next);
  }
  return tree;
}

/** 1 1/2: no other number stands right behind a number. */
function readMixed(cursor: Cursor, front: Tree): Tree {
  const above = cursor.peek()!.spaced ? readFactor(cursor) : undefined;
  const below = above && cursor.eat('/') ? readFactor(cursor) : undefined;
  if (below === undefined || ![front, above, below].every(isWhole)) unread();
  return call('+', front, call('/', above!, below));
}

/** Words behind a value, with their powers. */
function readUnit(cursor: Cursor, value: Tree): Tree {
  const words: string[] = [];
  while (cursor.peek()?.type === 'word') {
    words.push(cursor.next().text);
    if (cursor.eat('^')) {
      const power = cursor.argument();
      if (power.kind === 'number') words.push(`${words.pop()}^${power.value.numerator}`);
    }
    if (cursor.peek()?.text === '.' && cursor.peek(1)?.type === 'word') cursor.skip(1);
  }
  return call('unit', value, symbol(words.join(' ')));
}

/** One factor with its powers, factorials and percent or degree signs. */
function readFactor(cursor: Cursor): Tree {
  cursor.enter();
  let tree = readPrimary(cursor);
  for (;;) {
    if (cursor.eat('^')) tree = readPower(cursor, tree);
    else if (cursor.eat("'")) tree = tree.kind === 'symbol' ? symbol(`${tree.name}'`) : unread();
    else if (cursor.eat('!')) tree = call('!', tree);
    else if (cursor.eat('%')) tree = call('%', tree);
    else if (cursor.eatCommand('degree')) tree = call('degree', tree);
    else if (tree.kind === 'number' && cursor.eat('_')) tree = call('base', tree, cursor.argument());
    else break;
  }
  cursor.leave();
  return tree;
}

function readPower(cursor: Cursor, base: Tree): Tree {
  if (cursor.eatCommand('circ') || cursor.eatCommand('degree')) return call('degree', base);
  if (base.kind === 'number' && cursor.peek()?.type === 'letter' && cursor.peek()?.text === 'o') {
    cursor.skip(1); // 60^\text{o}
    return call('degree', base);
  }
  if (cursor.eatCommand('prime')) return base.kind === 'symbol' ? symbol(`${base.name}'`) : unread();
  if (
    cursor.peek()?.text === '{' &&
    ['circ', 'degree'].includes(cursor.peek(1)?.text ?? '') &&
    cursor.peek(2)?.text === '}'
  ) {
    cursor.skip(3);
    return call('degree', base);
  }
  if (base.kind === 'matrix' && (cursor.peek()?.text === 'T' || cursor.eatCommand('top'))) {
    if (cursor.peek()?.text === 'T') cursor.skip(1);
    return { kind: 'matrix', rows: base.rows[0]!.map((_, column) => base.rows.map((row) => row[column]!)) };
  }
  const minus = cursor.eat('-');
  const exponent = cursor.primary(); // 2^10 is read as it is meant, not as TeX sets it;
  return call('^', base, minus ? negate(exponent) : exponent);
}
