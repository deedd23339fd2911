// What a training step costs, counted from shapes alone.
// Letters: N sequences, P prompt, T thought and A answer tokens, V vocabulary size, d hidden size.
import type { Mode } from '@soft-tokens/samplers';

/** How much a training step draws and scores; every thought and answer is of full length. */
export interface StepShape {
  mode: Mode;
  prompts: number;
  /** Samples a prompt. */
  samples: number;
  promptTokens: number;
  thoughtTokens: number;
  answerTokens: number;
}

/** The entries of a model's matrices. */
export interface MatrixSizes {
  /** Of all the layers' matrices. */
  layers: number;
  /** Of the output matrix, V d; E has as many. */
  head: number;
  /** Of low-rank adapters, where the model has some: all else is frozen then. */
  adapters?: number;
}

const EMBEDDING = 'model.embed_tokens.weight';
const LM_HEAD = 'lm_head.weight';

type Shapes = ReadonlyMap<string, { shape: readonly number[] }>;

/**
 * The sizes of a model's matrices, told by its parameters and those of its adapters.
 *
 * @throws RangeError for a model without the input embedding `model.embed_tokens.weight`.
 * @example matrixSizes(model.parameters); // { layers: 106168320, head: 28311552 }
 */
export function matrixSizes(parameters: Shapes, adapters?: Shapes): MatrixSizes {
  const size = ({ shape }: { shape: readonly number[] }) => shape.reduce((product, n) => product * n, 1);
  const embedding = parameters.get(EMBEDDING);
  if (!embedding) throw new RangeError(`matrixSizes: expected a parameter ${EMBEDDING}, got none`);
  const total = (some: Shapes) =>
    [...some]
      .filter(([name, { shape }]) => shape.length === 2 && name !== EMBEDDING && name !== LM_HEAD)
      .reduce((sum, [, parameter]) => sum + size(parameter), 0);
  const sizes = { layers: total(parameters), head: size(embedding) };
  return adapters ? { ...sizes, adapters: total(adapters) } : sizes;
}

/** Tokens that a step draws: N (T + A). */
export function drawnTokens({ prompts, samples, thoughtTokens, answerTokens }: StepShape): number {
  return prompts * samples * (thoughtTokens + answerTokens);
}

/**
 * Floating-point operations of a step's matrix products with weights: 2 a weight and position forward, twice that
 * backward. With M entries in the layers and V d in the head:
 *
 *   forward = 2 M (prompts P + N (T + A - 1)) + 2 V d N (T + A)      + 2 V d N T for mixtures p E (soft, fuzzy)
 *   step    = forward (rollout) + forward + 2 forward (update)       = 4 forward
 *
 * With R entries in adapters, what is frozen beside them has no gradient, so that its backward pass is but the forward
 * pass over again:
 *
 *   step    = 3 forward + 4 · 2 R (prompts P + N (T + A - 1))
 *
 * A prompt is read once for all its samples, and the last answer token is drawn but never read. What is done more than
 * once is counted once: the prompt of a second micro-batch, the logits that the backward pass computes again. Left out
 * are the products of attention, 4 S operations a position, channel and layer for S positions: little where S is small
 * beside d.
 *
 * @example stepFlops(matrixSizes(model.parameters), { mode: 'hard', prompts: 2, samples: 32, ...lengths });
 */
export function stepFlops({ layers, head, adapters }: MatrixSizes, shape: StepShape): number {
  const { mode, prompts, samples, promptTokens, thoughtTokens, answerTokens } = shape;
  const sequences = prompts * samples;
  const positions = prompts * promptTokens + sequences * (thoughtTokens + answerTokens - 1);
  const mixtures = mode === 'hard' ? 0 : sequences * thoughtTokens;
  const forward = 2 * (layers * positions + head * (drawnTokens(shape) + mixtures));
  return adapters === undefined ? 4 * forward : 3 * forward + 4 * 2 * adapters * positions;
}
