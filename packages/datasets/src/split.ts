import type { Problem } from './problem.js';
import { hash32 } from './random.js';

/** Two disjoint parts of a list of problems, each in the list's order. */
export interface HeldOut {
  readonly train: Problem[];
  readonly validation: Problem[];
}

/**
 * Holds `count` problems out of a training set for validation: those with the smallest hash of seed and id. Which they
 * are depends on the ids and the seed alone, not on the order of the list, and a larger count keeps the smaller one's.
 *
 * - `count`: 0..problems.length
 * - `seed`: a whole number
 *
 * Throws RangeError for a count or seed outside its range, and Error when an id occurs twice.
 *
 * @example const { train, validation } = holdOut(readGsm8k('train.jsonl.gz'), 500, 1);
 */
export function holdOut(problems: readonly Problem[], count: number, seed: number): HeldOut {
  if (!Number.isInteger(count) || count < 0 || count > problems.length) {
    throw new RangeError(`holdOut: expected count to be an integer in 0..${problems.length}, got ${count}`);
  }
  if (!Number.isSafeInteger(seed)) throw new RangeError(`holdOut: expected seed to be an integer, got ${seed}`);
  const ranked = problems.map(({ id }) => ({ id, rank: hash32(`${seed}/${id}`) }));
  ranked.sort((a, b) => a.rank - b.rank || (a.id < b.id ? -1 : 1));
  const ids = new Set(problems.map(({ id }) => id));
  if (ids.size < problems.length) {
    throw new Error(`holdOut: expected ids that differ, got ${problems.length - ids.size} repeated; make them unique`);
  }
  const held = new Set(ranked.slice(0, count).map(({ id }) => id));
  return {
    train: problems.filter(({ id }) => !held.has(id)),
    validation: problems.filter(({ id }) => held.has(id)),
  };
}
