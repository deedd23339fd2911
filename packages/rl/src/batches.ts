import { permutation } from '@soft-tokens/tensor';

/**
 * The items of one step: each epoch is a fresh permutation of all of them, and steps walk through the epochs, so that
 * a step's items depend on (seed, step) alone.
 *
 * - `step` from 1; returns `size` items (an epoch's end is no batch's end)
 *
 * @throws RangeError when there are no items.
 * @example batch(questions, { seed: 0, step: 1, size: 8 });
 */
export function batch<T>(items: readonly T[], { seed, step, size }: { seed: number; step: number; size: number }): T[] {
  if (items.length === 0) throw new RangeError('batch: expected at least one item, got none');
  let epoch = -1;
  let order: Int32Array | undefined;
  return Array.from({ length: size }, (_, i) => {
    const position = (step - 1) * size + i;
    const wanted = Math.floor(position / items.length);
    if (!order || wanted !== epoch) {
      epoch = wanted;
      order = permutation(seed, epoch, items.length);
    }
    return items[order[position % items.length]!]!;
  });
}
