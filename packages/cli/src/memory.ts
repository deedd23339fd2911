// The memory that training takes, as far as it is known before it starts: that of activations depends on lengths.
import { adapterParameters, adapterShapes, isAdapterDirectory } from '@soft-tokens/models';
import { formatBytes, freeMemory, requireMemory } from '@soft-tokens/tensor';
import type { TrainConfig } from './config/recipe.js';

/** How many numbers a model holds, how many of them are trained, and those of another one that it is compared with. */
export interface ModelSize {
  parameters: number;
  trained: number;
  reference?: number;
}

/**
 * The size of what a recipe trains: a model, of which some parameters may be frozen, or adapters on one; and of the copy
 * that it is held near to.
 *
 * - `shapes`: those of the parameters of the model, without adapters
 *
 * @throws Error naming the file for an adapter that is not one.
 */
export async function trainingSize(
  { model, lora, frozen, kl }: Pick<TrainConfig, 'model' | 'lora' | 'frozen' | 'kl'>,
  shapes: ReadonlyMap<string, readonly number[]>,
): Promise<ModelSize> {
  // Fresh adapters leave the model that they are on as it is: it is the reference itself.
  const referring = (size: ModelSize): ModelSize => (kl && !lora ? { ...size, reference: size.parameters } : size);
  const adapters = isAdapterDirectory(model)
    ? await adapterParameters(model, shapes)
    : lora && adapterShapes(shapes, lora);
  if (!adapters) return referring(sizeOf(shapes, frozen));
  const { parameters: trained } = sizeOf(adapters);
  return referring({ parameters: sizeOf(shapes).parameters + trained, trained });
}

/** The size of a model of these parameters, some of them frozen. */
export function sizeOf(shapes: ReadonlyMap<string, readonly number[]>, frozen: readonly string[] = []): ModelSize {
  const size = { parameters: 0, trained: 0 };
  for (const [name, shape] of shapes) {
    const count = shape.reduce((product, n) => product * n, 1);
    size.parameters += count;
    if (!frozen.includes(name)) size.trained += count;
  }
  return size;
}

/**
 * Bytes that training with AdamW takes besides activations: float32 weights and, of what is trained, gradients and two
 * moments; weights alone of a reference.
 *
 * @example trainingBytes({ parameters: 1e9, trained: 1e9 }); // 16e9
 */
export const trainingBytes = ({ parameters, trained, reference = 0 }: ModelSize): number =>
  4 * (parameters + 3 * trained + reference);

/**
 * Throws where the memory for training is not there.
 *
 * - `where`: what is trained, for the error; `processes`: how many train at once
 */
export function requireTrainingMemory(where: string, size: ModelSize, processes = 1): void {
  const each = processes > 1 ? `${processes} processes, in each ` : '';
  requireMemory(where, `${each}${describeSize(size)}`, trainingBytes(size), { processes });
}

/** A line for the start of a run. */
export function describeTrainingMemory(size: ModelSize, processes = 1): string {
  const each = processes > 1 ? ' in each process' : '';
  const free = formatBytes(freeMemory().bytes);
  const taken = `${formatBytes(trainingBytes(size))}${each} for ${describeSize(size)}`;
  return `memory: about ${taken}; activations come on top; ${free} free`;
}

function describeSize({ parameters, trained, reference }: ModelSize): string {
  const count = (n: number) => n.toLocaleString('en-US');
  const moving = trained === parameters ? 'them' : `the ${count(trained)} that are trained`;
  const copy = reference ? ', and a copy for kl' : '';
  return `${count(parameters)} parameters in float32 with gradients and AdamW's moments of ${moving}${copy}`;
}
