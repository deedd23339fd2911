import { availableParallelism, freemem } from 'node:os';
import { type EngineName, type EngineReport, useEngine } from '@soft-tokens/tensor';
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

/** Memory of a process that trains, in sizes of its model's file: weights, gradients, two moments, activations. */
const MODELS_A_PROCESS = 5;
/** The share of the free memory that a run may plan with. */
const MEMORY_SHARE = 0.8;

/**
 * How many processes a run uses: one for each core where the engine runs side by side, as far as memory goes; else one.
 *
 * @example workerCount('auto', 'wasm', 1e9, { cores: 8, free: 16e9 }); // 2
 */
export function workerCount(
  wanted: 'auto' | number,
  engine: EngineName,
  modelBytes = 0,
  { cores, free } = { cores: availableParallelism(), free: freemem() },
): number {
  if (wanted !== 'auto') return wanted;
  if (!sideBySide.has(engine)) return 1;
  return Math.max(1, Math.min(cores, Math.floor((MEMORY_SHARE * free) / (MODELS_A_PROCESS * modelBytes))));
}

/** The threads of each of so many processes; what SOFT_TOKENS_THREADS says goes first. */
export function threadsEach(processes: number, cores = availableParallelism()): number | undefined {
  if (process.env.SOFT_TOKENS_THREADS) return undefined;
  return Math.max(1, Math.floor(cores / processes));
}
