import { evaluate } from './evaluate.js';
import { call, isInfinity, negate, type Relation, type RelationSign, type Tree } from './tree.js';
import { real } from './value.js';

/** A stretch of the real line; both ends are kept as they were written, and as numbers for the order. */
export interface Piece {
  readonly low: End;
  readonly high: End;
}

interface End {
  readonly tree: Tree;
  readonly at: number;
  readonly closed: boolean;
}

const infinity = call('infinity');
const below: End = { tree: negate(infinity), at: Number.NEGATIVE_INFINITY, closed: false };
const above: End = { tree: infinity, at: Number.POSITIVE_INFINITY, closed: false };

function end(tree: Tree, closed: boolean): End | undefined {
  if (isInfinity(tree)) return tree.kind === 'call' && tree.name === 'neg' ? below : above;
  const value = evaluate(tree, new Map());
  const at = value && real(value);
  return at === undefined ? undefined : { tree, at, closed };
}

function piece(low: Tree, high: Tree, lowClosed: boolean, highClosed: boolean): Piece[] | undefined {
  const [from, to] = [end(low, lowClosed), end(high, highClosed)];
  if (!from || !to) return undefined;
  const empty = from.at > to.at || (from.at === to.at && !(lowClosed && highClosed));
  return empty ? [] : [{ low: from, high: to }];
}

/**
 * A set of real numbers as disjoint pieces in rising order, or undefined for anything else: intervals, open pairs,
 * finite sets, and what set algebra makes of them; ends must be numbers or infinite.
 */
export function pieces(tree: Tree): Piece[] | undefined {
  switch (tree.kind) {
    case 'interval':
      return piece(tree.low, tree.high, tree.lowClosed, tree.highClosed);
    case 'tuple':
      return tree.items.length === 2 ? piece(tree.items[0]!, tree.items[1]!, false, false) : undefined;
    case 'set':
    case 'list':
      return union(tree.items.map((item) => (isStretch(item) ? pieces(item) : piece(item, item, true, true))));
    case 'sets': {
      const [first, ...others] = tree.items.map(pieces);
      return others.reduce<Piece[] | undefined>((made, next) => {
        if (!made || !next) return undefined;
        if (tree.operator === 'union') return union([made, next]);
        return intersection(made, tree.operator === 'difference' ? complement(next) : next);
      }, first);
    }
    default:
      return undefined;
  }
}

const isStretch = ({ kind }: Tree) => kind === 'interval' || kind === 'tuple' || kind === 'sets';

function union(sets: readonly (readonly Piece[] | undefined)[]): Piece[] | undefined {
  if (sets.includes(undefined)) return undefined;
  const sorted = (sets as Piece[][])
    .flat()
    .sort((a, b) => a.low.at - b.low.at || Number(b.low.closed) - Number(a.low.closed));
  const joined: Piece[] = [];
  for (const next of sorted) {
    const last = joined.at(-1);
    const touches =
      last && (next.low.at < last.high.at || (next.low.at === last.high.at && (next.low.closed || last.high.closed)));
    if (!touches) {
      joined.push(next);
      continue;
    }
    const farther =
      next.high.at > last.high.at || (next.high.at === last.high.at && next.high.closed) ? next.high : last.high;
    joined[joined.length - 1] = { low: last.low, high: farther };
  }
  return joined;
}

function complement(set: readonly Piece[]): Piece[] {
  const gaps: Piece[] = [];
  let from: End = below;
  for (const { low, high } of set) {
    const to = { ...low, closed: !low.closed && low !== below };
    if (from.at < to.at || (from.at === to.at && from.closed && to.closed)) gaps.push({ low: from, high: to });
    from = { ...high, closed: !high.closed && high !== above };
  }
  if (from.at < above.at) gaps.push({ low: from, high: above });
  return gaps;
}

export function intersection(a: readonly Piece[], b: readonly Piece[]): Piece[] {
  return complement(union([complement(a), complement(b)])!);
}

const flipped: Partial<Record<RelationSign, RelationSign>> = { '<': '>', '>': '<', '<=': '>=', '>=': '<=' };
export const flip = (sign: RelationSign): RelationSign => flipped[sign] ?? sign;

/** The reals that a statement about one name allows, such as 0 < x <= 1; undefined for any other statement. */
export function solutions(relation: Relation, isName: (tree: Tree) => boolean): Tree | undefined {
  const { sides, signs } = relation;
  if (sides.length > 3) return undefined;
  const place = sides.length === 3 ? 1 : sides.findIndex(isName);
  if (place < 0 || !isName(sides[place]!) || (sides.length === 2 && sides.every(isName))) return undefined;
  const bounds = signs.map((sign, i) => {
    const nameFirst = i === place;
    if (!nameFirst && i + 1 !== place) return undefined;
    return bound(nameFirst ? sign : flip(sign), sides[nameFirst ? i + 1 : i]!);
  });
  if (bounds.includes(undefined)) return undefined;
  if (bounds.length === 1) return bounds[0];
  const [first, second] = bounds as Tree[];
  return narrow(first!, second!) ?? { kind: 'sets', operator: 'intersection', items: [first!, second!] };
}

/** a < x and x < b as (a, b), whatever a and b are. */
function narrow(a: Tree, b: Tree): Tree | undefined {
  if (a.kind !== 'interval' || b.kind !== 'interval') return undefined;
  const [from, to] = isInfinity(a.low) ? [b, a] : [a, b];
  if (!isInfinity(to.low) || !isInfinity(from.high) || isInfinity(from.low)) return undefined;
  return { ...from, high: to.high, highClosed: to.highClosed };
}

function bound(sign: RelationSign, value: Tree): Tree | undefined {
  const interval = { kind: 'interval', low: below.tree, high: infinity, lowClosed: false, highClosed: false } as const;
  switch (sign) {
    case '<':
    case '<=':
      return { ...interval, high: value, highClosed: sign === '<=' };
    case '>':
    case '>=':
      return { ...interval, low: value, lowClosed: sign === '>=' };
    case '!=':
      return { kind: 'sets', operator: 'difference', items: [interval, { kind: 'set', items: [value] }] };
    case 'in':
      return value;
    case 'notin':
      return { kind: 'sets', operator: 'difference', items: [interval, value] };
    case '=':
      return { kind: 'set', items: [value] };
    default:
      return undefined;
  }
}
