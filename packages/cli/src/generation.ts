// Completing one question, token by token.
import type { Completion } from '@soft-tokens/samplers';
import { decode, type Observation, type SettingName, samplerFor } from '@soft-tokens/samplers';
import type { Caps } from './config/recipe.js';
import type { Subject } from './training.js';

/** A token that was drawn: its shadow, for a thought. */
export interface DrawnToken {
  id: number;
  text: string;
  /** Of the model's own distribution (temperature 1), in nats. */
  entropy: number;
}

/** A completion that can be read. */
export interface Generated {
  thought: string;
  thoughtEnd: Completion['thoughtEnd'];
  thoughtTokens: DrawnToken[];
  answer: string;
  answerEnd: Completion['answerEnd'];
  answerTokens: DrawnToken[];
}

export interface GenerationOptions {
  subject: Subject;
  sigma: number;
  setting: SettingName;
  promptIds: readonly number[];
  samples: number;
  caps: Caps;
  seed: number;
  signal: AbortSignal;
  /** Called with each new piece of a thought's text. */
  onText?: (sample: number, piece: string) => void;
}

/** Draws completions of one prompt; the answer is greedy, as in evaluation. */
export async function generate(options: GenerationOptions): Promise<Generated[]> {
  const { subject, caps, samples } = options;
  const { model, tokenizer } = subject;
  const tokens = Array.from({ length: samples }, () => ({ thought: [] as DrawnToken[], answer: [] as DrawnToken[] }));
  const streams = tokens.map((_, sample) => textStream(tokenizer, (piece) => options.onText?.(sample, piece)));
  const observe = ({ phase, rows, ids, hidden }: Observation) => {
    const entropies = entropiesOf(model.head.logits(hidden).dataSync<'float32'>(), rows.length);
    rows.forEach((sample, i) => {
      const id = ids[i]!;
      tokens[sample]![phase].push({ id, text: tokenizer.decode([id]), entropy: entropies[i]! });
      if (phase === 'thought') streams[sample]!.add(id);
      else streams[sample]!.end();
    });
  };
  const completions = await decode({
    model,
    text: tokenizer,
    sampler: samplerFor(options.setting, options.sigma),
    prompts: [options.promptIds],
    samples,
    maxThoughtTokens: caps.thought,
    maxAnswerTokens: caps.answer,
    answerTemperature: 0,
    seed: options.seed,
    observe,
    signal: options.signal,
  });
  return completions.map(({ shadowText, thoughtEnd, answerText, answerEnd }, i) => ({
    thought: shadowText,
    thoughtEnd,
    thoughtTokens: tokens[i]!.thought,
    answer: answerText,
    answerEnd,
    answerTokens: tokens[i]!.answer,
  }));
}

/**
 * Shannon entropy of each row of logits, in nats: H = log Z - Σ_i (z_i - m) exp(z_i - m) / Z, Z = Σ_i exp(z_i - m),
 * m = max z.
 *
 * - `logits`: `[rows, V]`, row-major
 */
export function entropiesOf(logits: ArrayLike<number>, rows: number): number[] {
  const width = logits.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const begin = row * width;
    let max = Number.NEGATIVE_INFINITY;
    for (let i = begin; i < begin + width; i++) max = Math.max(max, logits[i]!);
    let sum = 0;
    let weighted = 0;
    for (let i = begin; i < begin + width; i++) {
      const gap = logits[i]! - max;
      const weight = Math.exp(gap);
      sum += weight;
      if (weight > 0) weighted += gap * weight;
    }
    return Math.max(0, Math.log(sum) - weighted / sum);
  });
}

/**
 * Turns ids into text as they come: the pieces joined are the text of all ids. A character that is not whole yet is held
 * back until it is, or until the end.
 */
export function textStream(
  tokenizer: Pick<Subject['tokenizer'], 'decode'>,
  write: (piece: string) => void,
): { add(id: number): void; end(): void } {
  const ids: number[] = [];
  let written = 0;
  // All ids at once, since what a token reads as may depend on those before it.
  const flush = (text: string) => {
    if (text.length > written) write(text.slice(written));
    written = Math.max(written, text.length);
  };
  return {
    add(id) {
      ids.push(id);
      const text = tokenizer.decode(ids);
      if (!text.endsWith('\uFFFD')) flush(text);
    },
    end: () => flush(tokenizer.decode(ids)),
  };
}
