import { drawSkeleton, everySkeleton, type Skeleton, skeletonText, splitOf } from './arithmeticSkeleton.js';
import { tell, work } from './arithmeticStory.js';
import type { Problem, Split } from './problem.js';
import { createRandom } from './random.js';

/** What to generate. */
export interface ArithmeticOptions {
  readonly split: Split;
  /** How many problems, over all levels together. */
  readonly count: number;
  /** A whole number. It chooses the computations and their words, never their split. */
  readonly seed: number;
  /** Among 1..5, default all; problem i has level `levels[i % levels.length]`. */
  readonly levels?: readonly number[];
}

const hardest = 5;
const splits: readonly Split[] = ['train', 'validation', 'test'];
/** Levels above 2 are too many to count; every split of them holds more than this. */
const countedUpTo = 2;
const largeCapacity = 50_000;

const counted = new Map<number, Record<Split, number>>();

/**
 * How many problems one call of `arithmetic` can give of a level: the split's distinct computations at levels 1 and 2
 * (train, validation, test: 540, 62, 73 and 19,731, 2,425, 2,391), and 50,000 at levels 3 to 5, where there are more.
 *
 * Throws RangeError for a level outside 1..5.
 *
 * @example arithmeticCapacity('test', 1) // 73
 */
export function arithmeticCapacity(split: Split, level: number): number {
  checkLevel('arithmeticCapacity', level);
  if (level > countedUpTo) return largeCapacity;
  let sizes = counted.get(level);
  if (sizes === undefined) {
    sizes = { train: 0, validation: 0, test: 0 };
    for (const skeleton of everySkeleton(level)) sizes[splitOf(skeleton)]++;
    counted.set(level, sizes);
  }
  return sizes[split];
}

function checkLevel(where: string, level: number): void {
  if (!Number.isInteger(level) || level < 1 || level > hardest) {
    throw new RangeError(`${where}: expected levels in 1..${hardest}, got ${level}`);
  }
}

function check({ split, count, seed }: ArithmeticOptions, levels: readonly number[]): void {
  if (!splits.includes(split)) {
    throw new RangeError(`arithmetic: expected split to be train, validation or test, got ${JSON.stringify(split)}`);
  }
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`arithmetic: expected count to be an integer ≥ 0, got ${count}`);
  }
  if (!Number.isSafeInteger(seed)) throw new RangeError(`arithmetic: expected seed to be an integer, got ${seed}`);
  for (const level of levels) checkLevel('arithmetic', level);
  if (levels.length === 0 || new Set(levels).size < levels.length) {
    throw new RangeError(`arithmetic: expected one or more distinct levels, got [${levels}]`);
  }
}

/** A problem with the computation that it tells. */
export interface Told {
  readonly problem: Problem;
  readonly skeleton: Skeleton;
}

/** `count` distinct problems of one level. A larger count gives the same ones first. */
function generate(split: Split, level: number, count: number, seed: number): Told[] {
  const capacity = arithmeticCapacity(split, level);
  if (count > capacity) {
    throw new RangeError(
      `arithmetic: expected at most ${capacity} problems of level ${level} in ${split}, got ${count}; ` +
        'ask for fewer, choose other levels, or use several seeds for the same computations in other words',
    );
  }
  const random = createRandom(`arithmetic/${split}/${level}/${seed}`);
  const problems = new Map<string, Told>();
  while (problems.size < count) {
    const skeleton = drawSkeleton(random, level);
    const text = skeletonText(skeleton);
    if (splitOf(text) !== split || problems.has(text)) continue;
    const id = `arithmetic/${split}/${seed}/${text}`;
    problems.set(text, { problem: { id, question: tell(skeleton, random), ...work(skeleton), level }, skeleton });
  }
  return [...problems.values()];
}

/**
 * Generated word problems on whole numbers from 0 to 99, with worked steps. For example, at level 2:
 *
 *   Mia has 7 apples. She buys 5 more. Then she gives 3 to Tom. How many apples does Mia have now?
 *   ` 7+5=12. 12-3=9. The final answer is: \boxed{9}`
 *
 * Level n has n operations after the starting number: gain and loss (operands 1..20), doubling and tripling, and equal
 * shares where they are exact. The same options give the same problems on every machine. No computation occurs twice
 * in a call, and none of one split in another, however worded and whatever the seed: a hash of the numbers alone
 * decides the split (`splitOf`). The words come from the closed list `arithmeticWords`.
 *
 * Throws RangeError for options outside their range, and for more problems of a level than `arithmeticCapacity`.
 *
 * @example arithmetic({ split: 'train', count: 100, seed: 1, levels: [1, 2] })
 */
export function arithmetic(options: ArithmeticOptions): Problem[] {
  return toldArithmetic(options).map(({ problem }) => problem);
}

/** The problems of `arithmetic` with their computations. */
export function toldArithmetic(options: ArithmeticOptions): Told[] {
  const { split, count, seed, levels = [1, 2, 3, 4, 5] } = options;
  check(options, levels);
  const byLevel = levels.map((level, i) => {
    const share = Math.ceil((count - i) / levels.length); // how many of 0..count-1 are i modulo levels.length
    return generate(split, level, share, seed);
  });
  return Array.from({ length: count }, (_, i) => byLevel[i % levels.length]![Math.floor(i / levels.length)]!);
}
