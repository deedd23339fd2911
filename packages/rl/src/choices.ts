// How likely a model finds each of several texts after a context: what multiple-choice sets measure.
import type { ChoiceLikelihood, QuestionLikelihood } from '@soft-tokens/metrics';
import { hard, type LanguageModel, pacer, type TextCodec } from '@soft-tokens/samplers';
import * as tf from '@tensorflow/tfjs-core';
import { type RecordedSequence, type Scorer, score, withCaches } from './score.js';

/** A choice question in ids. */
export interface ChoiceItem {
  id: string;
  contextIds: readonly number[];
  choices: ReadonlyArray<{
    /** What follows the context; at least one. */
    ids: readonly number[];
    /** Characters of the choice as text. */
    characters: number;
  }>;
  /** Index of the right one. */
  correct: number;
}

/** The half of a tokenizer that a choice needs; `promptIds` adds what a sequence begins with. */
export type PromptCodec = Pick<TextCodec, 'encode'> & { promptIds(text: string): number[] };

/**
 * A choice question as ids: of each choice those that follow the context's in context + choice.
 *
 * White space at the context's end goes to the choices, which a tokenizer joins it with. Where a tokenizer joins the
 * context's last characters with a choice's first ones, so that the context's ids do not begin the whole, the choice is
 * encoded by itself: every choice follows the same context. One leading space is no character of the choice.
 *
 * Source: lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness), `_encode_pair` of
 * lm_eval/api/model.py, which takes as many ids off the whole as the context has, joined or not.
 *
 * @example choiceItem(tokenizer, { id: 'a', context: '2+2=', choices: ['4', '5'], correct: 0 });
 */
export function choiceItem(
  text: PromptCodec,
  question: { id: string; context: string; choices: readonly string[]; correct: number },
): ChoiceItem {
  const { id, correct } = question;
  const context = question.context.trimEnd();
  const space = question.context.slice(context.length);
  const contextIds = text.promptIds(context);
  const choices = question.choices.map((choice) => {
    const whole = text.promptIds(context + space + choice);
    const apart = contextIds.every((id, i) => id === whole[i]);
    const ids = apart ? whole.slice(contextIds.length) : text.encode(space + choice);
    return { ids, characters: [...choice.replace(/^ /, '')].length };
  });
  return { id, contextIds, choices, correct };
}

export interface ChoiceLikelihoodOptions {
  model: LanguageModel;
  items: readonly ChoiceItem[];
  /**
   * The most positions that are computed together, padding included: each choice counts with its context. It changes
   * speed and memory, and results by rounding only.
   */
  maxTokens: number;
  signal?: AbortSignal | undefined;
  /** Called after each batch of questions. */
  onBatch?: (progress: { done: number; total: number }) => void;
}

/**
 * log p(choice | context) of every choice of every question, in the order of `items`: the sum over the choice's tokens
 * at τ = 1. A context is computed once for all its choices.
 *
 * @throws RangeError for a question without a context or with a choice without ids, and for `maxTokens` that is not
 * positive; Error for a log-probability that is not finite; the signal's reason when it aborts.
 * @example likelihoodSummary(await choiceLikelihood({ model, items, maxTokens: 8192 })).accuracy;
 */
export async function choiceLikelihood({
  model,
  items,
  maxTokens,
  signal,
  onBatch,
}: ChoiceLikelihoodOptions): Promise<QuestionLikelihood[]> {
  items.forEach(checkItem);
  const pause = pacer(signal);
  const found: QuestionLikelihood[] = [];
  let done = 0;
  for (const batch of itemBatches(items, maxTokens)) {
    await pause();
    const scored = scoreItems(
      model,
      batch.map((i) => items[i]!),
    );
    for (const [n, i] of batch.entries()) found[i] = scored[n]!;
    done += batch.length;
    onBatch?.({ done, total: items.length });
  }
  return found;
}

function checkItem({ id, contextIds, choices, correct }: ChoiceItem): void {
  const fail = (problem: string): never => {
    throw new RangeError(`choiceLikelihood: ${id}: expected ${problem}`);
  };
  if (contextIds.length === 0) fail('a context of one id at least, got none');
  if (!choices[correct]) fail(`correct to be the index of one of ${choices.length} choices, got ${correct}`);
  for (const [j, { ids }] of choices.entries()) if (ids.length === 0) fail(`an id at least in choice ${j}, got none`);
}

/** Indices of items that are computed together; those of like length, so that little is padded. */
function itemBatches(items: readonly ChoiceItem[], maxTokens: number): number[][] {
  if (!(maxTokens > 0)) throw new RangeError(`choiceLikelihood: expected maxTokens > 0, got ${maxTokens}`);
  const longest = ({ choices }: ChoiceItem) => Math.max(...choices.map(({ ids }) => ids.length));
  const length = (i: number) => items[i]!.contextIds.length + longest(items[i]!);
  const order = items.map((_, i) => i).sort((i, j) => length(i) - length(j) || i - j);
  const batches: number[][] = [];
  let [rows, context, choice] = [0, 0, 0];
  for (const i of order) {
    const item = items[i]!;
    rows += item.choices.length;
    context = Math.max(context, item.contextIds.length);
    choice = Math.max(choice, longest(item));
    const batch = batches.at(-1);
    if (batch && rows * (context + choice) <= maxTokens) {
      batch.push(i);
    } else {
      batches.push([i]);
      [rows, context, choice] = [item.choices.length, item.contextIds.length, longest(item)];
    }
  }
  return batches;
}

const reader = hard({ temperature: 1 }) as Scorer;

/** A choice is scored as a thought of ordinary tokens. */
function scoreItems(model: LanguageModel, items: readonly ChoiceItem[]): QuestionLikelihood[] {
  const sequences = items.flatMap(({ contextIds, choices }) =>
    choices.map(
      ({ ids }): RecordedSequence => ({
        promptIds: [...contextIds],
        action: { ids: { dtype: 'int32', shape: [ids.length], values: Int32Array.from(ids) } },
        prefillIds: [],
        answerIds: [0], // stands in for the answer that a sequence has; nothing before it depends on it
      }),
    ),
  );
  const rows = tf.tidy(
    () =>
      withCaches((own) =>
        score({ model, sampler: reader, sequences }, own).thought.arraySync(),
      ) as unknown as tf.TensorContainer,
  ) as unknown as number[][];
  let row = 0;
  return items.map(({ id, correct, choices }) => ({
    id,
    correct,
    choices: choices.map(({ ids, characters }, j): ChoiceLikelihood => {
      const sum = rows[row++]!.reduce((sum, value) => sum + value, 0); // zero beyond the choice's end
      const logProb = Math.min(0, sum); // a certain token may be 1e-7 above 0
      if (!Number.isFinite(logProb)) {
        throw new Error(
          `choiceLikelihood: ${id}: expected a finite log-probability of choice ${j}, got ${logProb}; ` +
            'is the model damaged?',
        );
      }
      return { logProb, tokens: ids.length, characters };
    }),
  }));
}
