import { availableParallelism } from 'node:os';
import { type EngineName, type EngineReport, freeMemory, useEngine } from '@soft-tokens/tensor';
import { CliError, messageOf } from './errors.js';

/** Starts an engine. Throws CliError when it does not work here. */
export async function startEngine(name: EngineName | 'auto', threads?: number): Promise<EngineReport> {
  try {
    return await useEngine(name, { threads });
  } catch (error) {
    throw new CliError(messageOf(error), 1, { cause: error });
  }
}

/**
 * Engines of which several processes side by side use the machine best: `wasm` and `cpu` have one thread; `native` takes
 * as many as it is given, and tasks apart share less than threads do.
 */
const sideBySide = new Set<EngineName>(['native', 'wasm', 'cpu']);

/** What a process takes in all, in sizes of what is known of it: activations come on top of weights and moments. */
const WITH_ACTIVATIONS = 1.25;
/** The share of the free memory that a run may plan with. */
const MEMORY_SHARE = 0.8;

/**
 * How many processes a run uses: one for each core where the engine runs side by side, as far as memory goes; else one.
 *
 * - `processBytes`: what is known of the memory that a process takes (`trainingBytes`)
 *
 * @example workerCount('auto', 'wasm', 4e9, { cores: 8, free: 16e9 }); // 2
 */
export function workerCount(
  wanted: 'auto' | number,
  engine: EngineName,
  processBytes = 0,
  { cores, free } = { cores: availableParallelism(), free: freeMemory().bytes },
): number {
  if (wanted !== 'auto') return wanted;
  if (!sideBySide.has(engine)) return 1;
  return Math.max(1, Math.min(cores, Math.floor((MEMORY_SHARE * free) / (WITH_ACTIVATIONS * processBytes))));
}

/** The threads of each of so many processes; what SOFT_TOKENS_THREADS says goes first. */
export function threadsEach(processes: number, cores = availableParallelism()): number | undefined {
  if (process.env.SOFT_TOKENS_THREADS) return undefined;
  return Math.max(1, Math.floor(cores / processes));
}
