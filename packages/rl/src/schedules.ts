/** A learning rate for each update, counted from 1. */
export type Schedule = (step: number) => number;

export interface WarmupCosineOptions {
  /** The rate at the end of the warm-up. */
  peak: number;
  /** Updates of linear rise from 0. */
  warmup: number;
  /** The update at which the floor is reached. */
  total: number;
  /** The last rate. Default 0. */
  floor?: number;
}

/**
 * Linear warm-up, then half a cosine down to the floor:
 *
 *   η(s) = peak s / warmup                                          for s < warmup
 *   η(s) = floor + (peak - floor) (1 + cos(π (s - warmup) / (total - warmup))) / 2   up to total, floor after
 *
 * @throws RangeError unless 0 <= warmup < total and 0 <= floor <= peak.
 * Reference: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5; Soft Tokens, Hard Truths: 20 warm-up updates.
 * @example warmupCosine({ peak: 6e-6, warmup: 20, total: 4000 })(2010); // 3e-6
 */
export function warmupCosine({ peak, warmup, total, floor = 0 }: WarmupCosineOptions): Schedule {
  if (!(warmup >= 0 && warmup < total)) {
    throw new RangeError(`warmupCosine: expected 0 <= warmup < total, got warmup ${warmup} and total ${total}`);
  }
  if (!(floor >= 0 && floor <= peak)) {
    throw new RangeError(`warmupCosine: expected 0 <= floor <= peak, got floor ${floor} and peak ${peak}`);
  }
  return (step) => {
    if (step < warmup) return (peak * step) / warmup;
    const progress = Math.min(1, (step - warmup) / (total - warmup));
    return floor + ((peak - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
  };
}
