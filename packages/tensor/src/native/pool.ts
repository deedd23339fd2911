// Memory for the values of tensors, used again and again: fresh memory costs a page fault every 4 kB and work for the
// garbage collector, which together took a third of a training step.
import type { EngineMemory } from '../engine.js';
import type { Addon } from './addon.js';

/** Where memory comes from and where it goes. */
export type Allocator = Pick<Addon, 'allocate' | 'free'>;

/** Below this a typed array of its own is cheaper. */
const SMALLEST = 1024;
/** For tests: blocks for every size, full of NaN when they are taken, so that a kernel that leaves a gap is found. */
const spoil = process.env.SOFT_TOKENS_SPOIL_MEMORY === '1';
/** How much larger than needed a block may be. */
const ROOMY = 1.4;
/** What may be kept beyond the most that was ever in use: sizes change from step to step, and fresh memory is slow. */
const SLACK = 256 * 2 ** 20;

/** An idle block, and when it became one. */
interface Kept {
  block: ArrayBuffer;
  since: number;
}

/**
 * Blocks of memory by size. Those given back are kept for the next of like size; never so many that live and idle blocks
 * together exceed the most that was ever alive at once by more than 256 MiB: the longest idle are freed first.
 */
export class BufferPool {
  readonly #allocator: Allocator;
  readonly #idle = new Map<number, Kept[]>();
  readonly #memory = { live: 0, idle: 0, peak: 0 };
  #time = 0;

  constructor(allocator: Allocator) {
    this.#allocator = allocator;
  }

  get memory(): EngineMemory {
    return { ...this.#memory };
  }

  /** A block of at least so many bytes, of any content; `undefined` where the caller should make its own: for few. */
  take(bytes: number): ArrayBuffer | undefined {
    if (bytes < (spoil ? 1 : SMALLEST)) return undefined;
    const size = sizeClass(bytes);
    const kept = this.#keptFor(size);
    let block = kept?.pop()?.block;
    if (block) {
      this.#memory.idle -= block.byteLength;
    } else {
      this.#makeRoom(size);
      block = this.#allocator.allocate(size);
      if (!block) return undefined;
    }
    this.#memory.live += block.byteLength;
    this.#memory.peak = Math.max(this.#memory.peak, this.#memory.live);
    if (spoil) new Uint8Array(block).fill(0xff);
    return block;
  }

  /** Gives a block back that nothing reads or writes any more. */
  give(block: ArrayBuffer): void {
    const size = block.byteLength;
    this.#memory.live -= size;
    this.#memory.idle += size;
    const kept = { block, since: this.#time++ };
    const list = this.#idle.get(size);
    if (list) list.push(kept);
    else this.#idle.set(size, [kept]);
  }

  /** Counts a block no longer that somebody else may still read: the garbage collector frees it. */
  leave(block: ArrayBuffer): void {
    this.#memory.live -= block.byteLength;
  }

  /** The blocks of that size, or of the next above: fresh memory costs more than a part of a block left unused. */
  #keptFor(size: number): Kept[] | undefined {
    for (let one = size; one <= ROOMY * size; one = sizeClass(one + 1)) {
      const kept = this.#idle.get(one);
      if (kept && kept.length > 0) return kept;
    }
    return undefined;
  }

  #makeRoom(bytes: number): void {
    const most = this.#memory.peak + SLACK;
    while (this.#memory.idle > 0 && this.#memory.live + this.#memory.idle + bytes > most) {
      let oldest: Kept[] | undefined;
      for (const list of this.#idle.values()) {
        if (list.length > 0 && !(oldest && oldest[0]!.since < list[0]!.since)) oldest = list;
      }
      const { block } = oldest!.shift()!;
      this.#memory.idle -= block.byteLength;
      this.#allocator.free(block);
    }
  }
}

/** Sizes of blocks: 32 between one power of two and the next, so that little is wasted. */
function sizeClass(bytes: number): number {
  const step = 2 ** Math.max(6, Math.ceil(Math.log2(bytes)) - 6);
  return Math.ceil(bytes / step) * step;
}
