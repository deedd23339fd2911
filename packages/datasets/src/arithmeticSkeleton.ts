import type { Split } from './problem.js';
import { hash32, pick, type Random } from './random.js';

// The numbers of an arithmetic story, without its words: a starting number and operations on a running total.

/** One operation on the running total. */
export interface Operation {
  readonly sign: '+' | '-' | '*' | '/';
  readonly operand: number;
}

/** A computation: `7+5-3` is (7 + 5) - 3, from left to right. */
export interface Skeleton {
  readonly start: number;
  readonly operations: readonly Operation[];
}

/** Starting numbers and the operands of + and - lie in 1..20. */
const largestOperand = 20;
/** Running totals lie in 0..99. */
export const largestTotal = 99;

const upTo = (limit: number) => Array.from({ length: limit }, (_, i) => i + 1);

/** The total after one operation. */
export function apply(total: number, { sign, operand }: Operation): number {
  if (sign === '+') return total + operand;
  if (sign === '-') return total - operand;
  return sign === '*' ? total * operand : total / operand;
}

/** The operands each sign may take at a total; only totals in 0..99, exact shares, and nothing times or into nothing. */
function operandsAt(total: number): Record<Operation['sign'], readonly number[]> {
  return {
    '+': upTo(Math.min(largestOperand, largestTotal - total)),
    '-': upTo(Math.min(largestOperand, total)),
    '*': total === 0 ? [] : [2, 3].filter((factor) => total * factor <= largestTotal),
    '/': total === 0 ? [] : [2, 3, 4, 5].filter((divisor) => total % divisor === 0),
  };
}
const operands = Array.from({ length: largestTotal + 1 }, (_, total) => operandsAt(total));

/** Whether an operation may follow a total: whether the next one is whole and in 0..99, and not of nothing. */
export function isPossible(total: number, { sign, operand }: Operation): boolean {
  return operands[total]![sign].includes(operand);
}

/** How often each sign is drawn where it is possible: of 20. */
const lottery = [...'++++++++-------***//'] as readonly Operation['sign'][];

/** Draws `level` operations after a start, each possible at its total. */
export function drawSkeleton(random: Random, level: number): Skeleton {
  const start = 1 + random.below(largestOperand);
  const operations: Operation[] = [];
  let total = start;
  while (operations.length < level) {
    const sign = pick(random, lottery);
    const possible = operands[total]![sign];
    if (possible.length === 0) continue; // + or - is always possible, so this ends
    const operation = { sign, operand: pick(random, possible) };
    operations.push(operation);
    total = apply(total, operation);
  }
  return { start, operations };
}

/** The skeleton as text, `7+5-3*2`: what the split is decided by. */
export function skeletonText({ start, operations }: Skeleton): string {
  return start + operations.map(({ sign, operand }) => sign + operand).join('');
}

/**
 * The split a computation belongs to, by its hash: a tenth test, a tenth validation, the rest train. It sees the
 * numbers only, so no computation of one split occurs in another, however it is worded and whatever the seed.
 */
export function splitOf(skeleton: string): Split {
  const tenth = hash32(skeleton) % 10;
  if (tenth === 0) return 'test';
  return tenth === 1 ? 'validation' : 'train';
}

/** Every skeleton of a level as text. There are 675 at level 1, 24,547 at level 2 and 930,059 at level 3. */
export function* everySkeleton(level: number): Generator<string> {
  function* extend(text: string, total: number, left: number): Generator<string> {
    if (left === 0) {
      yield text;
      return;
    }
    for (const sign of ['+', '-', '*', '/'] as const) {
      for (const operand of operands[total]![sign]) {
        yield* extend(text + sign + operand, apply(total, { sign, operand }), left - 1);
      }
    }
  }
  for (const start of upTo(largestOperand)) yield* extend(String(start), start, level);
}
