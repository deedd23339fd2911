// The adapters that a recipe asks for.
import { isAdapterDirectory, linearNames, unknownTarget } from '@soft-tokens/models';
import { display } from './config/paths.js';
import type { TrainConfig } from './config/recipe.js';
import { suggest } from './config/suggest.js';
import { usageError } from './errors.js';

/**
 * Whether the adapters of a recipe can be put on its model, whose parameters have these shapes.
 *
 * @throws CliError (exit code 2) for a target that is no linear layer, with the one that was likely meant, and for a
 * model that has adapters already.
 */
export function checkLora(
  { model, lora }: Pick<TrainConfig, 'model' | 'lora'>,
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  if (!lora) return;
  if (isAdapterDirectory(model)) {
    throw usageError(
      `lora: expected a model without adapters, got ${display(model)}; leave lora out to train those on, ` +
        'or merge them first: soft-tokens merge',
    );
  }
  const unknown = unknownTarget(shapes, lora.target);
  if (unknown === undefined) return;
  const known = [...linearNames(shapes), 'all-linear'];
  const meant = suggest(unknown, known);
  const cure = meant ? `did you mean ${meant}?` : `expected some of ${known.join(', ')}`;
  throw usageError(`lora.target: ${unknown}: no linear layer of ${display(model)}; ${cure}`);
}
