// One model on one set of questions with choices: how often it finds the right one likeliest, and how likely.
import type { Choice } from '@soft-tokens/datasets';
import { type LikelihoodSummary, likelihoodSummary, type QuestionLikelihood } from '@soft-tokens/metrics';
import { choiceLikelihood } from '@soft-tokens/rl';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { toChoiceItem } from './config/choices.js';
import type { ChoicesConfig, PromptKind } from './config/recipe.js';
import { requireSameQuestions } from './evaluation.js';
import type { ChoicesFiles } from './jobs/layout.js';
import { openRecords, readResult } from './jsonLines.js';
import { formatTable, percent, wrap } from './table.js';
import type { Subject } from './training.js';

/** What came of a set; see `likelihoodSummary`. */
export interface LikelihoodResult extends LikelihoodSummary {
  set: string;
}

export interface LikelihoodOptions {
  subject: Subject;
  /** The set's name and kind, and its questions. */
  set: string;
  kind: ChoicesConfig['kind'];
  choices: readonly Choice[];
  /** Around worked solutions; the public sets have words of their own. */
  prompt: PromptKind;
  /** Where it is kept. What was stopped goes on after the last question that is there. */
  files: ChoicesFiles;
  signal: AbortSignal;
  /** Of questions; there is none where the result was there. `resumed`: done by what was stopped. */
  onProgress?: (progress: { done: number; total: number; resumed?: boolean }) => void;
}

/** Positions computed together. Nothing is kept for gradients, so they need little memory; results do not change. */
const MAX_TOKENS = 4096;

/** Questions that are written together; within them, those of like length are computed together. */
const CHUNK = 128;

/**
 * Scores a set, or goes on with it, and returns what came of it; one that is finished is read.
 *
 * @throws CliError where the file is damaged or holds answers to other questions; Error for a log-probability that is not finite; the
 * signal's reason when it aborts.
 */
export async function evaluateChoices(options: LikelihoodOptions): Promise<LikelihoodResult> {
  const { subject, set, kind, choices, prompt, files, signal, onProgress } = options;
  const finished = await readResult<LikelihoodResult>(files.summary);
  if (finished) return finished;
  const items = choices.map((choice) => toChoiceItem(kind, choice, prompt, subject.tokenizer));
  const { records, writer } = await openRecords<QuestionLikelihood>(files.questions);
  try {
    requireSameQuestions(files.questions, records, items);
    const tell = (done: number, resumed = false) => onProgress?.({ done, total: items.length, resumed });
    if (records.length > 0) tell(records.length, true);
    while (records.length < items.length) {
      const first = records.length;
      const chunk = items.slice(first, first + CHUNK);
      const found = await choiceLikelihood({
        model: subject.model,
        items: chunk,
        maxTokens: MAX_TOKENS,
        signal,
        onBatch: ({ done }) => tell(first + done),
      });
      for (const question of found) {
        records.push(question);
        writer.append(question);
      }
    }
    writer.sync();
    const result = { set, ...likelihoodSummary(records) };
    await writeFileAtomic(files.summary, `${JSON.stringify(result)}\n`);
    return result;
  } finally {
    writer.close();
  }
}

/** The models of a run on the sets, or one model: a row each, three columns a set. Empty where there are no sets. */
export function likelihoodTable(
  models: ReadonlyArray<{ name: string; results: readonly LikelihoodResult[] }>,
): string | undefined {
  const sets = models[0]?.results ?? [];
  if (sets.length === 0) return undefined;
  const tables = sets.map(({ set, questions }, i) => {
    const rows = models.map(({ name, results }) => {
      const { accuracy, normalized, nll } = results[i]!;
      return [name, percent(accuracy), percent(normalized), nll.toFixed(3)];
    });
    return `${set}, ${questions} questions\n\n${formatTable(['model', 'accuracy', 'per char', 'nll'], rows)}`;
  });
  const legend =
    'accuracy: the right choice is the likeliest, %; per char: by log-probability per character; nll: nats per token ' +
    'of the right choices.';
  return `${tables.join('\n\n')}\n\n${wrap(legend)}`;
}
