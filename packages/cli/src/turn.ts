import { setImmediate as turn } from 'node:timers/promises';

/**
 * Lets timers, messages and signal handlers run between two pieces of work, and throws the signal's reason once it has
 * aborted. Work that only awaits what is there already never lets them, however long it goes on.
 */
export async function nextTurn(signal: AbortSignal): Promise<void> {
  await turn();
  signal.throwIfAborted();
}
