// The slope of the expected reward in the parameters, found twice: by policy gradients of drawn samples, and by central
// differences of the expectation itself. The problem is small enough for that: six ids, thoughts of two tokens at most,
// one answer token.
import type { CausalLM } from '@soft-tokens/models';
import { type Action, type Completion, decode, type Sampler, type TextCodec } from '@soft-tokens/samplers';
import { normalArray } from '@soft-tokens/tensor';
import { enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { leaveOneOut } from '../advantages.js';
import { disposeGradients, logRatios, policyGradient } from '../gradients.js';

export const V = 6;

/** How many standard errors a right estimate may be off, and how many a mistaken one must be. */
export const LIMIT = 3.5;
export const CAUGHT = 5;

/**
 * Not `cpu`, which takes minutes for what the others do in half a minute. Its policy gradient is PyTorch's, as theirs is
 * (score.test.ts), and what it draws is what they draw (train.test.ts).
 */
export const fastEngines = enginesUnderTest.filter((engine) => engine !== 'cpu');
export const PROMPT = [1, 4, 2];
const STOP = 5;
const PREFILL = { stopped: [0, 3], capped: [] as number[] };
/** What an answer earns, before the thought's share in it. */
const EARNS = [3, -1, 0, 2, -2, 1];

const codec: TextCodec = {
  encode: (text) => Array.from(text, (character) => 'abcde!'.indexOf(character)),
  decode: (ids) => ids.map((id) => 'abcde!'[id]).join(''),
  endIds: [],
};

/** A number and its standard error. */
export interface Estimate {
  value: number;
  error: number;
}

/** A way to move all parameters, one after the other; a gradient, too. */
export type Direction = Float64Array;

/** How a thought is drawn, and its expectation computed without our decode loop, sampler or score. */
export interface Problem {
  sampler: Sampler<Action>;
  temperature: number;
  maxThoughtTokens: number;
  /** Whether `!` ends a thought. Where shadows end them, a thought's length is a jump of the parameters. */
  stops: boolean;
  /** The share that a thought adds to what its answer earns, of its last step. */
  share(completion: Completion): number;
  /** E[reward] of each of M draws of the noise, given the answers' probabilities: `[M]`. Differentiable. */
  expectation(model: CausalLM): tf.Tensor1D;
}

const reward = (completion: Completion, { share }: Problem) =>
  EARNS[completion.answerIds[0]!]! * (1 + share(completion));

/** Hard thoughts: all of them, each with its probability. */
export function enumerated(sampler: Sampler<Action>, temperature: number): Problem {
  const share = (id: number) => Math.sin(2 * id);
  const ids = Array.from({ length: V }, (_, id) => id);
  const goOn = ids.filter((id) => id !== STOP);
  // By how they end: at once, by the stop after another id, at the cap.
  const kinds = [
    { thoughts: [[STOP]], prefill: PREFILL.stopped },
    { thoughts: goOn.map((id) => [id, STOP]), prefill: PREFILL.stopped },
    { thoughts: goOn.flatMap((first) => goOn.map((second) => [first, second])), prefill: PREFILL.capped },
  ];
  return {
    sampler,
    temperature,
    maxThoughtTokens: 2,
    stops: true,
    share: ({ action }) => share(action.ids!.values.at(-1)!),
    expectation: (model) =>
      tf.tidy(() => {
        const terms = kinds.map(({ thoughts, prefill }) => {
          const n = thoughts.length;
          const T = thoughts[0]!.length;
          const inputs = embed(
            model,
            thoughts.map((thought) => [...PROMPT, ...thought, ...prefill]),
          );
          const logits = model.head.logits(model.forward(inputs)) as tf.Tensor3D;
          const logProbs = (t: number, tau: number) =>
            tf.logSoftmax(tf.div(tf.reshape(tf.slice(logits, [0, t, 0], [-1, 1, -1]), [n, V]), tau));
          const ofThought = tf.addN(
            Array.from({ length: T }, (_, t) => {
              const drawn = thoughts.map((thought) => thought[t]!);
              const chosen = tf.cast(tf.oneHot(tf.tensor1d(drawn, 'int32'), V), 'float32');
              return tf.sum(tf.mul(logProbs(PROMPT.length - 1 + t, temperature), chosen), 1);
            }),
          );
          const answers = tf.exp(logProbs(PROMPT.length - 1 + T + prefill.length, 1));
          const earned = tf.sum(tf.mul(answers, tf.tensor1d(EARNS)), 1);
          const shares = tf.tensor1d(thoughts.map((thought) => 1 + share(thought.at(-1)!)));
          return tf.sum(tf.mul(tf.exp(ofThought), tf.mul(earned, shares)));
        });
        return tf.reshape(tf.addN(terms), [1]) as tf.Tensor1D;
      }),
  };
}

/** A noisy thought token written out, to compare a sampler with. */
export interface NoisyToken {
  /** The name that the sampler records the noisy quantity under. */
  recorded: string;
  /** The noisy quantity `[M, n]` and the stack's input `[M, d]` from states `[M, d]`; `noise(n)` is σ ε, `[M, n]`. */
  draw(
    hidden: tf.Tensor2D,
    model: CausalLM,
    noise: (width: number) => tf.Tensor2D,
    temperature: number,
  ): { drawn: tf.Tensor; input: tf.Tensor };
}

/** softmax(z / τ) E + σ ε. */
const noisyMixture: NoisyToken = {
  recorded: 'input',
  draw(hidden, model, noise, temperature) {
    const weights = tf.softmax(tf.div(model.head.logits(hidden), temperature)) as tf.Tensor2D;
    const input = tf.add(tf.matMul(weights, model.inputEmbedding), noise(model.hiddenSize));
    return { drawn: input, input };
  },
};

/** Noisy mixtures: M draws of the noise, the same for all parameters, so that the mean is smooth in them. */
export function averaged(
  sampler: Sampler<Action>,
  options: { temperature: number; noiseScale: number; maxThoughtTokens: number; draws: number; token?: NoisyToken },
): Problem {
  const { temperature, noiseScale, maxThoughtTokens, draws: M, token = noisyMixture } = options;
  return {
    sampler,
    temperature,
    maxThoughtTokens,
    stops: false,
    share({ action }) {
      const { values, shape } = action[token.recorded]!;
      return Math.tanh(values[values.length - shape[1]!]!);
    },
    expectation: (model) =>
      tf.tidy(() => {
        const d = model.hiddenSize;
        const last = (inputs: tf.Tensor3D) => {
          const T = inputs.shape[1];
          return tf.reshape(tf.slice(model.forward(inputs), [0, T - 1, 0], [-1, 1, -1]), [M, d]) as tf.Tensor2D;
        };
        let inputs = embed(model, new Array(M).fill(PROMPT));
        let drawn: tf.Tensor | undefined;
        for (let t = 0; t < maxThoughtTokens; t++) {
          const noise = (width: number) => {
            const values = normalArray({ seed: 99, step: 0, sample: 0, position: t, stream: 9 }, M * width);
            return tf.mul(tf.tensor2d(values, [M, width]), noiseScale) as tf.Tensor2D;
          };
          const thought = token.draw(last(inputs), model, noise, temperature);
          drawn = thought.drawn;
          inputs = tf.concat([inputs, tf.reshape(thought.input, [M, 1, d]) as tf.Tensor3D], 1);
        }
        const answers = tf.softmax(model.head.logits(last(inputs)));
        const earned = tf.sum(tf.mul(answers, tf.tensor1d(EARNS)), 1);
        const shares = tf.tanh(tf.reshape(tf.slice(drawn!, [0, 0], [-1, 1]), [M]));
        return tf.mul(earned, tf.add(1, shares)) as tf.Tensor1D;
      }),
  };
}

const embed = (model: CausalLM, ids: number[][]) =>
  model.embed(tf.tensor2d(ids, [ids.length, ids[0]!.length], 'int32')) as tf.Tensor3D;

/** dE/dv along each direction v, by central differences of five points. */
export function trueSlopes(model: CausalLM, { expectation }: Problem, directions: readonly Direction[]): Estimate[] {
  const h = 0.01;
  const variables = [...model.parameters.values()];
  const start = flat(variables);
  const move = (to: Direction) => {
    let begin = 0;
    for (const variable of variables) {
      const values = Float32Array.from(to.subarray(begin, begin + variable.size));
      tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
      begin += variable.size;
    }
  };
  const at = (direction: Direction, distance: number) => {
    move(start.map((x, i) => x + distance * direction[i]!));
    return tf.tidy(() => expectation(model).dataSync());
  };
  const slopes = directions.map((direction) => {
    const [far, near, back, farBack] = [2 * h, h, -h, -2 * h].map((distance) => at(direction, distance));
    return estimate(Array.from(near!, (value, m) => (8 * (value - back![m]!) - (far![m]! - farBack![m]!)) / (12 * h)));
  });
  move(start);
  return slopes;
}

/** Completions of the one prompt. */
export const draw = (model: CausalLM, problem: Problem, samples: number, seed: number): Promise<Completion[]> =>
  decode({
    model,
    sampler: withWeights(problem),
    text: codec,
    prompts: [PROMPT],
    samples,
    format: {
      stopPhrase: problem.stops ? '!' : '#',
      prefill: { stopped: codec.decode(PREFILL.stopped), capped: codec.decode(PREFILL.capped) },
    },
    maxThoughtTokens: problem.maxThoughtTokens,
    maxAnswerTokens: 1,
    answerTemperature: 1,
    seed,
  });

/** The sampler that also records its mixture's weights, for the changes that need them. The right score does not. */
const withWeights = ({ sampler, temperature }: Problem): Sampler<Action> => ({
  ...sampler,
  step(hidden, model, noise) {
    const step = sampler.step(hidden, model, noise);
    const weights = tf.softmax(tf.div(model.head.logits(hidden), temperature));
    return { ...step, action: { ...step.action, weights } };
  },
});

/** What of the policy gradient to do otherwise, to see the comparison fail. */
export interface Change {
  model?: CausalLM;
  sampler?: Sampler<Action>;
  advantages?: (advantages: number[], rewards: number[]) => number[];
  /** A divergence to take off the rewards. */
  kl?: { reference: CausalLM; coefficient: number };
}

/** Policy gradients of independent batches of completions, in pairs for the baseline, as ascents: -∇L of each batch. */
export async function ascents(
  model: CausalLM,
  problem: Problem,
  completions: readonly Completion[],
  change: Change = {},
): Promise<Direction[]> {
  const G = 2;
  const size = completions.length / 32;
  const found: Direction[] = [];
  for (let begin = 0; begin < completions.length; begin += size) {
    const sequences = completions.slice(begin, begin + size);
    const nats =
      change.kl && (await logRatios({ ...change.kl, model, sampler: problem.sampler, sequences, maxTokens: 1e6 }));
    const earned = sequences.map(
      (completion, n) => reward(completion, problem) - (nats ? change.kl!.coefficient * nats[n]! : 0),
    );
    const advantages = Array.from({ length: size / G }, (_, group) => {
      const rewards = earned.slice(group * G, (group + 1) * G);
      const right = leaveOneOut(rewards);
      return change.advantages?.(right, rewards) ?? right;
    }).flat();
    const { gradients } = await policyGradient({
      model: change.model ?? model,
      sampler: change.sampler ?? problem.sampler,
      parameters: model.parameters,
      sequences,
      advantages,
      maxTokens: 1e6,
    });
    found.push(flat([...gradients.values()]).map((x) => -x));
    disposeGradients(gradients);
  }
  return found;
}

/** The slope along each direction that ascents give, with the error of their mean. */
export const slopesOf = (found: readonly Direction[], directions: readonly Direction[]): Estimate[] =>
  directions.map((direction) => estimate(found.map((ascent) => dot(ascent, direction))));

/**
 * The unit direction in which changed ascents depart most clearly from right ones of the same completions: each
 * coordinate's mean difference, divided by its variance.
 */
export const departure = (changed: readonly Direction[], right: readonly Direction[]): Direction => {
  const n = right.length;
  return unit(
    right[0]!.map((_, i) => {
      const { value, error } = estimate(right.map((ascent) => ascent[i]!));
      const difference = changed.reduce((sum, ascent) => sum + ascent[i]! / n, -value);
      return difference / (error ** 2 + 1e-12);
    }),
  );
};

/** Unit directions: the steepest ascent of E, and random ones in parts of the parameters. */
export function directionsOf(model: CausalLM, { expectation }: Problem): Direction[] {
  const variables = [...model.parameters.values()];
  // By automatic differentiation: it chooses a direction, but the slope along it is found by differences.
  const { value, grads } = tf.variableGrads(() => tf.mean(expectation(model)) as tf.Scalar, variables);
  const steepest = flat(variables.map(({ name }) => grads[name]!));
  tf.dispose([value, grads]);
  const random = [/embed/, /lm_head/, /norm|proj/].map((part, sample) => {
    const values = Array.from(model.parameters, ([name, { size }], position) =>
      part.test(name)
        ? [...normalArray({ seed: 5, step: 0, sample, position, stream: 9 }, size)]
        : new Array<number>(size).fill(0),
    );
    return Float64Array.from(values.flat());
  });
  return [steepest, ...random].map(unit);
}

const flat = (tensors: readonly tf.Tensor[]): Direction =>
  Float64Array.from(tensors.flatMap((tensor) => [...tensor.dataSync<'float32'>()]));

const dot = (x: Direction, y: Direction): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);

function unit(direction: Direction): Direction {
  const norm = Math.sqrt(dot(direction, direction));
  return direction.map((x) => x / norm);
}

/** The mean of independent numbers, and its standard error. */
function estimate(values: readonly number[]): Estimate {
  const n = values.length;
  const value = values.reduce((sum, x) => sum + x, 0) / n;
  const squares = values.reduce((sum, x) => sum + (x - value) ** 2, 0);
  return { value, error: n > 1 ? Math.sqrt(squares / (n - 1) / n) : 0 };
}

/** How far estimates lie from the truth, in standard errors. */
export const zScores = (estimates: readonly Estimate[], truth: readonly Estimate[]): number[] =>
  estimates.map(({ value, error }, i) => (value - truth[i]!.value) / Math.hypot(error, truth[i]!.error));
