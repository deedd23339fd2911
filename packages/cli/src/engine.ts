import { availableParallelism, freemem } from 'node:os';
import { type EngineName, type EngineReport, useEngine } from '@soft-tokens/tensor';
import { CliError, messageOf } from './errors.js';

/** Starts an engine. Throws CliError when it does not work here. */
export async function startEngine(name: EngineName | 'auto'): Promise<EngineReport> {
  try {
    return await useEngine(name);
  } catch (error) {
    throw new CliError(messageOf(error), 1, { cause: error });
  }
}

/** Engines that compute on one thread, so that several processes side by side use the machine. */
const singleThreaded = new Set<EngineName>(['wasm', 'cpu']);

/** Memory of a process that trains, in sizes of its model's file: weights, gradients, two moments, activations. */
const MODELS_A_PROCESS = 5;
/** The share of the free memory that a run may plan with. */
const MEMORY_SHARE = 0.8;

/**
 * How many processes a run uses: one for each core where the engine has one thread, as far as memory goes; else one.
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
  if (!singleThreaded.has(engine)) return 1;
  return Math.max(1, Math.min(cores, Math.floor((MEMORY_SHARE * free) / (MODELS_A_PROCESS * modelBytes))));
}
