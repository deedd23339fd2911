import type { Rational } from '../rational.js';

/** Relations between the sides of a statement; `in` is membership of a set. */
export type RelationSign = '=' | '<' | '>' | '<=' | '>=' | '!=' | '~' | 'in' | 'notin' | 'equiv' | 'subset';

/** What an answer says, as a tree. Everything is data: nothing is worked out while it is built. */
export type Tree =
  /** `decimal`: written with a decimal point, so that it may be a rounded number. */
  | { readonly kind: 'number'; readonly value: Rational; readonly decimal: boolean }
  /** A variable, an unknown command or a word. */
  | { readonly kind: 'symbol'; readonly name: string }
  /** An operator (`+ * / ^ neg pm mp ! % degree unit`), a known function, or a constant with no operands. */
  | { readonly kind: 'call'; readonly name: string; readonly items: readonly Tree[] }
  /** `(a, b, ...)`; of two items it is also an open interval. */
  | { readonly kind: 'tuple'; readonly items: readonly Tree[] }
  /** `\{a, b, ...\}` */
  | { readonly kind: 'set'; readonly items: readonly Tree[] }
  /** Answers side by side: `a, b`, `a and b`, `a or b`. */
  | { readonly kind: 'list'; readonly items: readonly Tree[]; readonly word: ',' | 'and' | 'or' }
  | {
      readonly kind: 'interval';
      readonly low: Tree;
      readonly high: Tree;
      readonly lowClosed: boolean;
      readonly highClosed: boolean;
    }
  /** Set algebra, from left to right. */
  | {
      readonly kind: 'sets';
      readonly operator: 'union' | 'intersection' | 'difference';
      readonly items: readonly Tree[];
    }
  | { readonly kind: 'matrix'; readonly rows: readonly (readonly Tree[])[] }
  /** `a < b <= c`: one sign between every two sides. */
  | { readonly kind: 'relation'; readonly sides: readonly Tree[]; readonly signs: readonly RelationSign[] };

export type Relation = Extract<Tree, { kind: 'relation' }>;

export const whole = (n: number | bigint): Tree => ({
  kind: 'number',
  value: { numerator: BigInt(n), denominator: 1n },
  decimal: false,
});
export const call = (name: string, ...items: Tree[]): Tree => ({ kind: 'call', name, items });
export const symbol = (name: string): Tree => ({ kind: 'symbol', name });
export const negate = (tree: Tree): Tree =>
  tree.kind === 'number' ? { ...tree, value: { ...tree.value, numerator: -tree.value.numerator } } : call('neg', tree);

export const isInfinity = (tree: Tree): boolean =>
  tree.kind === 'call' && (tree.name === 'infinity' || (tree.name === 'neg' && isInfinity(tree.items[0]!)));

/** The parts of a tree, in reading order. */
function parts(tree: Tree): readonly Tree[] {
  switch (tree.kind) {
    case 'number':
    case 'symbol':
      return [];
    case 'interval':
      return [tree.low, tree.high];
    case 'matrix':
      return tree.rows.flat();
    case 'relation':
      return tree.sides;
    default:
      return tree.items;
  }
}

/** The tree with each part replaced. */
export function mapParts(tree: Tree, replace: (part: Tree) => Tree): Tree {
  switch (tree.kind) {
    case 'number':
    case 'symbol':
      return tree;
    case 'interval':
      return { ...tree, low: replace(tree.low), high: replace(tree.high) };
    case 'matrix':
      return { ...tree, rows: tree.rows.map((row) => row.map(replace)) };
    case 'relation':
      return { ...tree, sides: tree.sides.map(replace) };
    default:
      return { ...tree, items: tree.items.map(replace) };
  }
}

/** Whether a tree or any part of it passes the test. */
export const some = (tree: Tree, test: (part: Tree) => boolean): boolean =>
  test(tree) || parts(tree).some((part) => some(part, test));

/** How many nodes a tree has as written out, counted up to `most`; parts that are shared count each time. */
export function size(tree: Tree, most: number): number {
  let count = 1;
  for (const part of parts(tree)) {
    if (count >= most) return most;
    count += size(part, most - count);
  }
  return Math.min(count, most);
}

/** The free names of a tree, sorted. */
export function names(tree: Tree): string[] {
  const found = new Set<string>();
  const visit = (part: Tree): void => {
    if (part.kind === 'symbol') found.add(part.name);
    parts(part).forEach(visit);
  };
  visit(tree);
  return [...found].sort();
}

const commutative = new Set(['+', '*']);

/** One text for a tree; sums, products and sets in any order have the same. */
export function spell(tree: Tree): string {
  switch (tree.kind) {
    case 'number':
      return `${tree.value.numerator}/${tree.value.denominator}`;
    case 'symbol':
      return tree.name;
    case 'interval':
      return `${tree.lowClosed ? '[' : '('}${spell(tree.low)};${spell(tree.high)}${tree.highClosed ? ']' : ')'}`;
    case 'matrix':
      return `matrix(${tree.rows.map((row) => row.map(spell).join('&')).join(';')})`;
    case 'relation':
      return tree.sides.map((side, i) => spell(side) + (tree.signs[i] ?? '')).join('');
    default: {
      const items = tree.items.map(spell);
      const name = tree.kind === 'call' ? tree.name : tree.kind === 'sets' ? tree.operator : tree.kind;
      if (commutative.has(name) || tree.kind === 'set' || tree.kind === 'list') items.sort();
      return `${name}(${items.join(',')})`;
    }
  }
}
