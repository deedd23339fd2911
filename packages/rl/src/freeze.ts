import type { TrainableModel } from './train.js';

/**
 * The same model with some parameters left out of training.
 *
 * Freezing the input embedding takes the Gaussian score's direct path ∂ log π / ∂e_i = p_i (h̃ - h⁰) / σ² out of the
 * gradient of soft and fuzzy thoughts, and with it most of its noise; the gradient in all else stays exact. Where the
 * embeddings are tied, the output matrix is frozen with them.
 *
 * - `names`: checkpoint names
 *
 * @throws RangeError for a name that is no parameter, or when nothing would be left to train.
 * @example const model = freeze(loaded, ['model.embed_tokens.weight']);
 */
export function freeze(model: TrainableModel, names: readonly string[]): TrainableModel {
  const unknown = names.find((name) => !model.parameters.has(name));
  if (unknown !== undefined) {
    const known = [...model.parameters.keys()].join(', ');
    throw new RangeError(`freeze: expected the name of a parameter, got ${unknown}; the model has ${known}`);
  }
  const parameters = new Map([...model.parameters].filter(([name]) => !names.includes(name)));
  if (parameters.size === 0) throw new RangeError('freeze: expected a parameter left to train, got none');
  return {
    parameters,
    vocabSize: model.vocabSize,
    hiddenSize: model.hiddenSize,
    head: model.head,
    embed: (ids) => model.embed(ids),
    mix: (weights) => model.mix(weights),
    createCache: (padding) => model.createCache(padding),
    forward: (inputs, cache, options) => model.forward(inputs, cache, options),
  };
}
