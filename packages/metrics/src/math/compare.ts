import { rationalEqual } from '../rational.js';
import { evaluate, type Point, points } from './evaluate.js';
import { multiplied } from './matrices.js';
import { flip, intersection, type Piece, pieces, solutions } from './realSets.js';
import {
  call,
  isInfinity,
  mapParts,
  names,
  negate,
  type Relation,
  type RelationSign,
  some,
  spell,
  symbol,
  type Tree,
} from './tree.js';
import { unitsAgree } from './units.js';
import { approximate, isExact, real, sameValue, times, type Value } from './value.js';

/** How strictly two answers are compared. */
export interface Strictness {
  /** Decimals after the point to which a number written with one must agree; 0 to 15. */
  readonly digits: number;
  /** Whether names count, and sets are kept apart from tuples. */
  readonly strict: boolean;
  /** Whether a statement such as 0 < x < 1 may answer where an interval was asked for. */
  readonly statementForSet: boolean;
}

/** `unknown`: the two could not be compared, which is not to say that they differ. */
export type Finding = 'equal' | 'different' | 'unknown';

/** Lists longer than this are compared as text only. */
const itemLimit = 64;
/** Comparisons of parts allowed for one pair of answers, so that sets in sets stay cheap. */
const stepLimit = 3000;

/** Whether an answer says the same as the gold answer. Not symmetric: the gold answer's form decides what is enough. */
export function compare(gold: Tree, answer: Tree, strictness: Strictness): Finding {
  const comparison = new Comparing(strictness);
  const [left, right] = [prepared(gold), prepared(answer)];
  const renamed = strictness.strict ? right : renameLike(left, right);
  const equal = comparison.equal(left, renamed);
  return equal ? 'equal' : comparison.undecided ? 'unknown' : 'different';
}

/** Products of matrices worked out, ± written out as two answers. */
function prepared(tree: Tree): Tree {
  return multiplied(splitSigns(tree));
}

const isSign = (tree: Tree): boolean => tree.kind === 'call' && (tree.name === 'pm' || tree.name === 'mp');

/** ± taken as + in one answer and - in the other; ∓ the other way round. */
function splitSigns(tree: Tree): Tree {
  if (!some(tree, isSign)) return tree;
  if (tree.kind === 'list' || tree.kind === 'set') {
    const items = tree.items.flatMap((item) => {
      const split = splitSigns(item);
      return split.kind === 'list' ? split.items : [split];
    });
    return { ...tree, items };
  }
  const choose = (part: Tree, upper: boolean): Tree => {
    const chosen = mapParts(part, (each) => choose(each, upper));
    if (chosen.kind !== 'call' || !isSign(chosen)) return chosen;
    return (chosen.name === 'pm') === upper ? chosen.items[0]! : negate(chosen.items[0]!);
  };
  return { kind: 'list', items: [choose(tree, true), choose(tree, false)], word: 'or' };
}

/** The answer with its names replaced by the gold answer's, in order. */
function renameLike(gold: Tree, answer: Tree): Tree {
  const [wanted, given] = [names(gold), names(answer)];
  if (wanted.length !== given.length) return answer;
  const rename = (tree: Tree): Tree =>
    tree.kind === 'symbol' ? symbol(wanted[given.indexOf(tree.name)]!) : mapParts(tree, rename);
  return rename(answer);
}

/** A name, or what is written like one: x, AB, f(x), |AB|, e. */
function isName(tree: Tree): boolean {
  if (tree.kind === 'symbol') return true;
  if (tree.kind !== 'call') return false;
  if (tree.name === 'e' || tree.name === 'i') return true;
  if (tree.name === 'unit') return isName(tree.items[0]!); // area of the circle
  if (tree.name === '*') return tree.items.every(isName) || isFunction(tree);
  if (tree.name === '/') return tree.items.every((item) => isName(item) && spell(item).includes('d')); // dy/dx
  if (tree.name === '^') return spell(tree.items[1]!) === '-1/1' && /^[fgh]$/.test(spell(tree.items[0]!));
  return (tree.name === 'abs' || tree.name === 'mod') && isName(tree.items[0]!);
}

/** f(2) and P(X > 2), which are read as products. */
function isFunction(tree: Tree): boolean {
  if (tree.kind !== 'call' || tree.name !== '*') return false;
  const [front, inside] = tree.items;
  if (front!.kind !== 'symbol' || tree.items.length > 2) return false;
  return inside!.kind === 'number'
    ? /^[fghpqFGHPQ]/.test(front!.name)
    : inside!.kind === 'relation' && front!.name === 'P';
}

const isNamed = (tree: Tree): boolean => isName(tree) || (tree.kind === 'tuple' && tree.items.every(isName));
const isEqual = (sign: RelationSign) => sign === '=' || sign === '~' || sign === 'in';

/** A chain of equalities, or membership of a set. */
const equation = (tree: Tree): Relation | undefined =>
  tree.kind === 'relation' && tree.signs.every(isEqual) ? tree : undefined;

/** An equation that gives a name its value. */
const assignment = (tree: Tree): Relation | undefined => {
  const stated = equation(tree);
  return stated && isNamed(stated.sides[0]!) ? stated : undefined;
};
const isCollection = (tree: Tree): boolean => ['tuple', 'set', 'list', 'interval', 'sets'].includes(tree.kind);

/** A chain without what follows an approximation: x = 1/3 ≈ 0.33 says x = 1/3. */
function exactPart(tree: Tree): Tree {
  if (tree.kind !== 'relation') return tree;
  const rough = tree.signs.indexOf('~');
  if (rough < 0 || (rough === 0 && isName(tree.sides[0]!))) return tree;
  const sides = tree.sides.slice(0, rough + 1);
  return sides.length === 1 ? sides[0]! : { ...tree, sides, signs: tree.signs.slice(0, rough) };
}

/** What an equation says in the end: its last side, or the first where only that is no name (5 = x). */
function lastSide({ sides }: Relation): Tree {
  const [first, last] = [sides[0]!, sides.at(-1)!];
  return sides.length === 2 && isNamed(last) && !isNamed(first) ? first : last;
}

/** One comparison of two answers, part by part. */
class Comparing {
  /** Whether some parts could not be compared. */
  undecided = false;
  private steps = 0;
  private readonly strictness: Strictness;

  constructor(strictness: Strictness) {
    this.strictness = strictness;
  }

  equal(goldTree: Tree, answerTree: Tree): boolean {
    if (++this.steps > stepLimit) {
      this.undecided = true;
      return false;
    }
    let [gold, answer] = [exactPart(goldTree), exactPart(answerTree)];
    if (spell(gold) === spell(answer)) return true;
    const [wanted, given] = [equation(gold), equation(answer)];
    const [wantedName, givenName] = [assignment(gold), assignment(answer)];
    if (wantedName && givenName) return this.sameAssignment(wantedName, givenName);
    if (given && !wanted) answer = lastSide(given);
    if (wanted && !given && (wantedName || wanted.sides.length > 2)) {
      const named = answer.kind === 'list' ? answer.items.map(assignment) : [];
      if (named.length > 0 && !named.includes(undefined)) return this.sameNamed(wanted, named as Relation[]);
      gold = lastSide(wanted);
    }
    if (gold.kind === 'relation' && answer.kind === 'relation') return this.sameRelation(gold, answer);
    return this.sameAnswer(withoutUnit(gold), withoutUnit(answer), unitsAgree(unitOf(gold), unitOf(answer)));
  }

  private sameAnswer(gold: Tree, answer: Tree, sameUnit: boolean): boolean {
    if (!sameUnit) return false;
    if (gold.kind === 'matrix' || answer.kind === 'matrix') return this.sameMatrix(gold, answer);
    const [goldStates, answerStates] = [isStatement(gold), isStatement(answer)];
    if (!goldStates && !answerStates) {
      if (isCollection(gold) || isCollection(answer)) return this.sameCollection(gold, answer);
      return this.sameNumber(gold, answer);
    }
    if (goldStates && answerStates && gold.kind === 'list' && answer.kind === 'list') {
      if (gold.word === answer.word && this.sameItems(gold, answer)) return true;
    }
    if (answerStates && !goldStates && !this.strictness.statementForSet) return false;
    const [goldSet, answerSet] = [asSet(gold), asSet(answer)];
    if (goldSet === undefined || answerSet === undefined) return false;
    return this.sameCollection(goldSet, answerSet);
  }

  /** x = 1 and x = 1; the names count, and of a chain only the first and last side. */
  private sameAssignment(gold: Relation, answer: Relation): boolean {
    if (this.equal(gold.sides[0]!, answer.sides[0]!) && this.equal(gold.sides.at(-1)!, answer.sides.at(-1)!)) {
      return true;
    }
    const ends = ({ sides }: Relation): Relation => ({
      kind: 'relation',
      sides: [sides[0]!, sides.at(-1)!],
      signs: ['='],
    });
    return this.sameStatement(ends(gold), ends(answer));
  }

  /** (x, y) = (1, 2) and x = 1, y = 2. */
  private sameNamed(gold: Relation, answers: readonly Relation[]): boolean {
    const [left, right] = [gold.sides[0]!, gold.sides.at(-1)!];
    if (left.kind !== 'tuple' || right.kind !== 'tuple' || left.items.length !== answers.length) return false;
    return left.items.every((name, i) =>
      answers.some(
        ({ sides }) => spell(sides[0]!) === spell(name) && this.equal(right.items[i] ?? name, sides.at(-1)!),
      ),
    );
  }

  private sameRelation(gold: Relation, answer: Relation): boolean {
    if (gold.sides.length === answer.sides.length) {
      const backwards = { ...answer, sides: answer.sides.toReversed(), signs: answer.signs.toReversed().map(flip) };
      if ([answer, backwards].some((each) => this.sameChain(gold, each))) return true;
    }
    const [a, b] = [solutions(gold, isName), solutions(answer, isName)];
    const [x, y] = [gold, answer].map(({ sides }) => (sides.length === 3 ? sides[1] : sides.find(isName)));
    if (!a || !b || !x || !y || spell(x) !== spell(y)) return false;
    return this.sameCollection(a, b);
  }

  private sameChain(gold: Relation, answer: Relation): boolean {
    return gold.signs.every((_, i) => this.sameStatement(link(gold, i), link(answer, i)));
  }

  /** Two statements with two sides: left - right of the one is a fixed multiple of that of the other. */
  private sameStatement(gold: Relation, answer: Relation): boolean {
    const [p, q] = [gold.signs[0]!, answer.signs[0]!].map((sign) => (sign === '~' ? '=' : sign));
    if (p !== q && p !== flip(q!)) return false;
    if (!['=', '!=', '<', '>', '<=', '>='].includes(p!)) {
      return gold.sides.every((side, i) => this.equal(side, answer.sides[i]!));
    }
    const [a, b] = [difference(gold), difference(answer)];
    if (!a || !b) return this.sameSides(gold, answer);
    const ratio = this.ratio(a, b);
    if (ratio === undefined) return this.sameSides(gold, answer);
    if (ratio === 0) return false;
    return p === '=' || p === '!=' || (p === q ? ratio > 0 : ratio < 0);
  }

  private sameSides(gold: Relation, answer: Relation): boolean {
    const direct =
      gold.signs[0] === answer.signs[0] && gold.sides.every((side, i) => this.equal(side, answer.sides[i]!));
    const turned = gold.signs[0] === flip(answer.signs[0]!) && this.equal(gold.sides[0]!, answer.sides[1]!);
    return direct || (turned && this.equal(gold.sides[1]!, answer.sides[0]!));
  }

  /** b / a where that is the same at every point: its sign; 0 where it changes; undefined where nothing is known. */
  private ratio(a: Tree, b: Tree): number | undefined {
    let first: { x: Value; y: Value } | undefined;
    let seen = 0;
    for (const [x, y] of pairs(a, b)) {
      if (x === undefined || y === undefined) continue;
      if (isZero(x) !== isZero(y)) return 0;
      if (isZero(x)) continue;
      seen++;
      first ??= { x, y };
      const [left, right] = [times(x, first.y), times(y, first.x)];
      if (!left || !right || !sameValue(left, right)) return 0;
    }
    if (!first || seen < Math.min(3, names(a).length + names(b).length)) return undefined;
    const product = times(first.x, first.y);
    const sign = product && real(product);
    return sign === undefined ? undefined : Math.sign(sign);
  }

  private sameMatrix(gold: Tree, answer: Tree): boolean {
    if (gold.kind !== 'matrix' || answer.kind !== 'matrix') return false;
    const [rows, others] = [gold.rows, answer.rows];
    return (
      rows.length === others.length &&
      rows[0]!.length === others[0]!.length &&
      rows.every((row, i) => row.every((cell, j) => this.equal(cell, others[i]![j]!)))
    );
  }

  private sameCollection(gold: Tree, answer: Tree): boolean {
    if (gold.kind === 'set' && gold.items.length === 1 && answer.kind === 'tuple')
      return this.equal(gold.items[0]!, answer);
    if (answer.kind === 'set' && answer.items.length === 1 && gold.kind === 'tuple')
      return this.equal(gold, answer.items[0]!);
    const [a, b] = [listed(gold), listed(answer)];
    if (a && b) return this.sameItems(a, b);
    if (gold.kind === 'interval' && answer.kind === 'interval') {
      if (gold.lowClosed !== answer.lowClosed || gold.highClosed !== answer.highClosed) return false;
      return this.equal(gold.low, answer.low) && this.equal(gold.high, answer.high);
    }
    if (openPair(gold) && openPair(answer)) {
      return [0, 1].every((i) => this.equal(openPair(gold)![i]!, openPair(answer)![i]!));
    }
    const [left, right] = [pieces(gold), pieces(answer)];
    if (left && right) return this.samePieces(left, right);
    this.undecided ||= [gold, answer].some(({ kind }) => kind === 'sets');
    return false;
  }

  private samePieces(a: readonly Piece[], b: readonly Piece[]): boolean {
    const ends = (each: readonly Piece[]) => each.flatMap(({ low, high }) => [low, high]);
    const [left, right] = [ends(a), ends(b)];
    if (left.length !== right.length) return false;
    return left.every((end, i) => end.closed === right[i]!.closed && this.equal(end.tree, right[i]!.tree));
  }

  private sameItems(a: Listed, b: Listed): boolean {
    if (a.items.length > itemLimit || b.items.length > itemLimit) {
      this.undecided = true;
      return false;
    }
    const ordered = a.kind === 'tuple' || b.kind === 'tuple';
    const mixed = ordered && a.kind !== b.kind;
    if (mixed && this.strictness.strict && (a.kind === 'set' || b.kind === 'set')) return false;
    if (ordered && !(mixed && !this.strictness.strict)) {
      return a.items.length === b.items.length && a.items.every((item, i) => this.equal(item, b.items[i]!));
    }
    const asSets = [a, b].some(({ kind, word }) => kind === 'set' || word === 'or');
    const [left, right] = asSets ? [this.distinct(a.items), this.distinct(b.items)] : [a.items, b.items];
    if (left.length !== right.length) return false;
    const free = [...right];
    return left.every((item) => {
      const place = free.findIndex((other) => this.equal(item, other));
      if (place < 0) return false;
      free.splice(place, 1);
      return true;
    });
  }

  private distinct(items: readonly Tree[]): Tree[] {
    const kept: Tree[] = [];
    for (const item of items) if (!kept.some((other) => this.equal(other, item))) kept.push(item);
    return kept;
  }

  private sameNumber(gold: Tree, answer: Tree): boolean {
    if (isInfinity(gold) || isInfinity(answer)) return false; // equal ones are spelled alike
    if (sameWord(gold, answer)) return true;
    const free = new Set([...names(gold), ...names(answer)]);
    if (free.size === 0 && this.sameStated(gold, answer)) return true;
    let seen = 0;
    for (const [x, y] of pairs(gold, answer)) {
      if (x === undefined || y === undefined) continue;
      if (!sameValue(x, y)) return false;
      seen++;
    }
    const enough = seen >= (free.size === 0 ? 1 : 3);
    this.undecided ||= !enough;
    return enough;
  }

  /** Numbers: a decimal to so many digits, 50% as 0.5 and as 50. */
  private sameStated(gold: Tree, answer: Tree): boolean {
    const at = (tree: Tree) => evaluate(tree, new Map());
    const [x, y] = [at(gold), at(answer)];
    if (x === undefined || y === undefined || !isExact(x) || !isExact(y)) return false;
    if (rationalEqual(x, y)) return true;
    if (isPercent(gold) !== isPercent(answer)) {
      const [share, other] = isPercent(gold) ? [gold, answer] : [answer, gold];
      const stated = at((share as Extract<Tree, { kind: 'call' }>).items[0]!);
      const size = stated && real(stated);
      if (size !== undefined && size > 1 && sameValue(stated!, at(other)!)) return true;
    }
    if (!isDecimal(gold) && !isDecimal(answer)) return false;
    const [a, b] = [approximate(x)?.re, approximate(y)?.re];
    if (a === undefined || b === undefined) return false;
    const scale = 10 ** this.strictness.digits;
    const close = Math.abs(a - b) <= 1e-3 * Math.max(Math.abs(a), Math.abs(b)) || this.strictness.digits < 4;
    return close && Math.round(a * scale) === Math.round(b * scale);
  }
}

const isPercent = (tree: Tree): boolean => tree.kind === 'call' && tree.name === '%';

/** A number written with a decimal point, signed or in percent. */
function isDecimal(tree: Tree): boolean {
  if (tree.kind === 'number') return tree.decimal;
  return tree.kind === 'call' && (tree.name === 'neg' || tree.name === '%') && isDecimal(tree.items[0]!);
}

const link = ({ sides, signs }: Relation, i: number): Relation => ({
  kind: 'relation',
  sides: [sides[i]!, sides[i + 1]!],
  signs: [signs[i]!],
});

function difference({ sides }: Relation): Tree | undefined {
  const [a, b] = sides.map(withoutUnit);
  return [a!, b!].some((side) => isCollection(side) || side.kind === 'matrix') ? undefined : call('+', a!, negate(b!));
}

/** Both values at each point. */
function* pairs(a: Tree, b: Tree): Generator<[Value | undefined, Value | undefined]> {
  const free = [...new Set([...names(a), ...names(b)])].sort();
  for (const point of points(free) as Point[]) yield [evaluate(a, point), evaluate(b, point)];
}

function isZero(value: Value): boolean {
  if (isExact(value)) return value.numerator === 0n;
  return Math.hypot(value.re, value.im) <= 4 * value.error && value.error < 1e-9;
}

function withoutUnit(tree: Tree): Tree {
  return tree.kind === 'call' && (tree.name === 'unit' || tree.name === 'degree') ? withoutUnit(tree.items[0]!) : tree;
}

function unitOf(tree: Tree): string {
  return tree.kind === 'call' && tree.name === 'unit' ? (tree.items[1] as { name: string }).name : '';
}

/** abc and the word abc; capitals count for single letters only. */
function sameWord(a: Tree, b: Tree): boolean {
  const [x, y] = [wordOf(a), wordOf(b)];
  if (x === undefined || y === undefined) return false;
  return x === y || (x.length > 2 && x.toLowerCase() === y.toLowerCase());
}

function wordOf(tree: Tree): string | undefined {
  if (tree.kind === 'symbol') return tree.name;
  if (tree.kind !== 'call') return undefined;
  if (tree.name === 'e' || tree.name === 'i') return tree.name;
  if (tree.name !== '*') return undefined;
  const parts = tree.items.map(wordOf);
  return parts.includes(undefined) ? undefined : parts.join('');
}

interface Listed {
  readonly kind: 'tuple' | 'set' | 'list';
  readonly items: readonly Tree[];
  readonly word?: string;
}

/** Answers side by side; one alone is a list of one. */
function listed(tree: Tree): Listed | undefined {
  if (tree.kind === 'tuple' || tree.kind === 'set' || tree.kind === 'list') return tree;
  return tree.kind === 'interval' || tree.kind === 'sets' || tree.kind === 'relation'
    ? undefined
    : { kind: 'list', items: [tree] };
}

function openPair(tree: Tree): readonly Tree[] | undefined {
  if (tree.kind === 'tuple' && tree.items.length === 2) return tree.items;
  return tree.kind === 'interval' && !tree.lowClosed && !tree.highClosed ? [tree.low, tree.high] : undefined;
}

/** A relation, or relations side by side of which one is an inequality; equations side by side are values. */
const isStatement = (tree: Tree): boolean =>
  tree.kind === 'relation' ||
  (tree.kind === 'list' &&
    tree.items.every(({ kind }) => kind === 'relation') &&
    tree.items.some((item) => equation(item) === undefined));

/** Statements about one name as the set they allow; any other tree as it is. */
function asSet(tree: Tree): Tree | undefined {
  if (tree.kind === 'relation') return solutions(tree, isName);
  if (!isStatement(tree) || tree.kind !== 'list') return tree;
  const items = tree.items.map(asSet);
  if (items.includes(undefined)) return undefined;
  const sets = items as Tree[];
  const together = sets.map(pieces);
  const [first, ...others] = together;
  const common = together.includes(undefined)
    ? undefined
    : (others as Piece[][]).reduce((made, next) => intersection(made, next), first!);
  const joint = tree.word !== 'or' && common !== undefined && (tree.word === 'and' || common.length > 0);
  return { kind: 'sets', operator: joint ? 'intersection' : 'union', items: sets };
}
