/**
 * Lets timers and signal handlers run now and then during long work, and stops it when asked to.
 *
 * @example const pause = pacer(signal); for (const item of items) { await pause(); work(item); }
 */
export function pacer(signal?: AbortSignal | undefined): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last > 50) {
      await new Promise((resolve) => setImmediate(resolve));
      last = performance.now();
    }
    signal?.throwIfAborted();
  };
}
