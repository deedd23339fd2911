// What a model's distribution is like along a thought, measured while it is decoded.
import { type Observation, paperTemperatures, type SettingName } from '@soft-tokens/samplers';
import * as tf from '@tensorflow/tfjs-core';
import { entropiesOf } from './generation.js';
import type { Subject } from './training.js';

/** One step of a thought. */
export interface ThoughtStep {
  /** The greedy token: what can be read of the step. */
  token: string;
  /** Of the model's own distribution, temperature 1, in nats. */
  entropy: number;
  /** The largest shares of the mixture, or, of hard thoughts, the likeliest tokens: at the mode's temperature. */
  top: { token: string; p: number }[];
}

/** How many samples of a question are measured: enough for the mean, and little beside the decoding itself. */
const MEASURED = 4;
const TOP = 5;

export interface Profile {
  observe(observation: Observation): void;
  /** Of a question of the batch: entropies in nats by position, summed over the thoughts measured, and their number. */
  entropy(question: number): { sum: number[]; count: number[] };
  /** The steps of a question's first sample, where they were kept. */
  steps(question: number): ThoughtStep[] | undefined;
}

/**
 * Measures a batch of questions with `samples` completions each: the entropy of the first few thoughts of each, and the
 * steps of one thought of the first `keep` questions.
 *
 * The entropy is that of softmax(z), whatever the temperature thoughts are drawn at, so that settings can be compared.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, figure 4, which does not say at which temperature.
 */
export function createProfile({
  subject: { model, tokenizer },
  setting,
  samples,
  keep,
}: {
  subject: Pick<Subject, 'model' | 'tokenizer'>;
  setting: SettingName;
  samples: number;
  keep: number;
}): Profile {
  const entropies = new Map<number, number[]>();
  const kept = new Map<number, ThoughtStep[]>();
  const [mode] = setting.split('-') as [keyof typeof paperTemperatures];
  const token = (id: number) => tokenizer.decode([id]);
  return {
    observe({ phase, rows, ids, hidden }) {
      if (phase !== 'thought') return;
      const measured = rows.flatMap((row, i) => (row % samples < MEASURED ? [i] : []));
      if (measured.length === 0) return;
      const logits = model.head.logits(tf.gather(hidden, measured)).dataSync<'float32'>();
      const V = logits.length / measured.length;
      entropiesOf(logits, measured.length).forEach((entropy, at) => {
        const i = measured[at]!;
        const row = rows[i]!;
        append(entropies, row, entropy);
        if (row % samples !== 0 || row / samples >= keep) return;
        const top = largestShares(logits.subarray(at * V, (at + 1) * V), paperTemperatures[mode], TOP);
        append(kept, row / samples, {
          token: token(ids[i]!),
          entropy: rounded(entropy),
          top: top.map(({ id, p }) => ({ token: token(id), p })),
        });
      });
    },
    entropy(question) {
      const sum: number[] = [];
      const count: number[] = [];
      for (let sample = 0; sample < Math.min(samples, MEASURED); sample++) {
        entropies.get(question * samples + sample)?.forEach((entropy, t) => {
          sum[t] = (sum[t] ?? 0) + entropy;
          count[t] = (count[t] ?? 0) + 1;
        });
      }
      return { sum: sum.map(rounded), count };
    },
    steps: (question) => kept.get(question),
  };
}

/** The largest entries of softmax(z / τ), from the largest on; among equals the lower id first. */
export function largestShares(
  logits: ArrayLike<number>,
  temperature: number,
  count: number,
): { id: number; p: number }[] {
  const order = Array.from(logits, (logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit || a.id - b.id);
  const max = order[0]!.logit;
  const weight = (logit: number) => Math.exp((logit - max) / temperature);
  const total = order.reduce((sum, { logit }) => sum + weight(logit), 0);
  return order.slice(0, count).map(({ id, logit }) => ({ id, p: rounded(weight(logit) / total) }));
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** Six decimals: far below what a mean over samples can tell. */
const rounded = (value: number) => Math.round(value * 1e6) / 1e6;
