/**
 * A 32-bit hash of a text: FNV-1a over its UTF-16 code units, then the finaliser of MurmurHash3, which spreads every
 * input bit over the low bits too. For splits and seeds; not against an adversary.
 *
 * Sources: Fowler, Noll, Vo, www.isthe.com/chongo/tech/comp/fnv; Appleby, MurmurHash3 `fmix32` (public domain).
 */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return finalise(h);
}

/** `fmix32`: a bijection of 32-bit integers, returned unsigned. */
function finalise(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A source of whole numbers. */
export interface Random {
  /** Uniform in 0..limit-1; the bias of at most limit / 2³² does not matter for the short lists it picks from. */
  below(limit: number): number;
}

/**
 * Splitmix32, seeded by a text: a Weyl sequence through `fmix32`. Integer arithmetic only, so every machine draws the
 * same numbers. For data sets; samplers draw from the tensor package's generator.
 *
 * Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (the 64-bit original).
 */
export function createRandom(seed: string): Random {
  let state = hash32(seed);
  return {
    below(limit) {
      state = (state + 0x9e3779b9) | 0;
      return finalise(state) % limit;
    },
  };
}

/** One entry of a list that is not empty. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)]!;
}
