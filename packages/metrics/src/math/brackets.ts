import { type Cursor, unread } from './cursor.js';
import { call, isInfinity, type Tree } from './tree.js';

const closing: Record<string, readonly string[]> = {
  '(': [')', ']'],
  '[': [']', ')'],
  ']': ['[', ']'],
  '{': ['}'],
  '\\{': ['\\}'],
  lbrace: ['rbrace'],
  langle: ['rangle'],
  lbrack: ['rbrack', ')', ']'],
};

/** A group in brackets: a group, tuple, interval, set, or absolute value. */
export function readBracket(cursor: Cursor, opened?: string): Tree {
  const open = opened ?? cursor.next().text;
  if (open === '|' || open === '\\|') return readAbsolute(cursor, open);
  const ends = closing[open];
  if (ends === undefined) unread();
  const { bars, inSet } = cursor;
  const isSet = open === '\\{' || open === 'lbrace';
  cursor.bars = isSet ? 1 : 0; // in {x | x > 2} the bar opens nothing
  cursor.inSet = isSet;
  const empty = isClosing(cursor, ends);
  const inside: Tree = empty ? { kind: 'list', items: [], word: ',' } : cursor.list();
  const condition = isSet && (cursor.eatCommand('mid') || cursor.eat('|') || cursor.eat(':'));
  const held = condition ? cursor.list() : undefined;
  Object.assign(cursor, { bars, inSet });
  if (!isClosing(cursor, ends)) unread();
  const close = cursor.next().text;
  if (held) return isRestricted(inside) ? unread() : held; // {x | x > 2} says what its condition says
  const items = inside.kind === 'list' ? inside.items : [inside];
  if (isSet) return { kind: 'set', items };
  if (open === '{') return inside;
  if (open === '(' && close === ')') return inside.kind === 'list' ? { kind: 'tuple', items } : inside;
  if (open === 'langle') return { kind: 'tuple', items };
  if (items.length === 2) {
    const lowClosed = open === '[' || open === 'lbrack';
    return {
      kind: 'interval',
      low: items[0]!,
      high: items[1]!,
      lowClosed,
      highClosed: close === ']' || close === 'rbrack',
    };
  }
  if (open !== '[' || close !== ']') unread();
  return inside.kind === 'list' ? { kind: 'tuple', items } : inside;
}

/** x in a set other than the reals. */
function isRestricted(tree: Tree): boolean {
  if (tree.kind !== 'relation') return false;
  const set = tree.sides[1]!;
  return tree.signs[0] !== 'in' || set.kind !== 'interval' || !isInfinity(set.low) || !isInfinity(set.high);
}

function isClosing(cursor: Cursor, ends: readonly string[]): boolean {
  const token = cursor.peek();
  return token !== undefined && (token.type === 'sign' || token.type === 'command') && ends.includes(token.text);
}

function readAbsolute(cursor: Cursor, bar: string): Tree {
  cursor.bars++;
  const inside = cursor.sum();
  cursor.bars--;
  cursor.expect(bar);
  return call('abs', inside);
}

/** The name in braces behind \begin or \end. */
function readEnvironmentName(cursor: Cursor): string {
  cursor.expect('{');
  let name = '';
  while (!cursor.eat('}')) name += cursor.next().text;
  return name;
}

/** The lines of a system of equations, side by side. */
function readLines(cursor: Cursor, name: string): Tree {
  const items: Tree[] = [];
  while (!cursor.eatCommand('end')) {
    cursor.eat('&');
    const line = cursor.list();
    items.push(...(line.kind === 'list' ? line.items : [line]));
    while (cursor.eat(',') || cursor.eat(';') || cursor.eat('.')) {} // in front of the line's end
    if (!cursor.eat('\\\\') && !cursor.peekCommand('end')) unread();
  }
  if (readEnvironmentName(cursor) !== name || items.length === 0) unread();
  return items.length === 1 ? items[0]! : { kind: 'list', items, word: 'and' };
}

/** A matrix, row by row; `array` with its columns' alignment. */
export function readEnvironment(cursor: Cursor): Tree {
  const name = readEnvironmentName(cursor);
  if (/^(?:cases|aligned|gathered|align\*?|gather\*?|equation\*?)$/.test(name)) return readLines(cursor, name);
  if (!/^(?:[pbvBV]?(?:small)?matrix|array)\*?$/.test(name)) unread();
  if (name === 'array') readEnvironmentName(cursor);
  const rows: Tree[][] = [];
  let row: Tree[] = [];
  for (;;) {
    if (cursor.eatCommand('end')) break;
    row.push(cursor.sum());
    if (cursor.eat('&')) continue;
    rows.push(row);
    row = [];
    if (!cursor.eat('\\\\') && !cursor.peekCommand('end')) unread();
  }
  if (row.length > 0) rows.push(row);
  if (readEnvironmentName(cursor) !== name || rows.length === 0) unread();
  if (rows.some((each) => each.length !== rows[0]!.length)) unread();
  const matrix: Tree = { kind: 'matrix', rows };
  return name === 'vmatrix' ? call('det', matrix) : matrix;
}
