import { RowError } from './rows.js';

/** A question with answers to choose from, of which one is right. */
export interface Choice {
  /** Unique within its file, and the same in every run. */
  readonly id: string;
  /** What stands before a choice: a question, or a text to go on with. */
  readonly context: string;
  readonly choices: readonly string[];
  /** Index of the right one, from 0. */
  readonly correct: number;
  /** The field of knowledge, of sets that have several. */
  readonly subject?: string;
}

/** A choice question whose right answer is named by one of `labels`, which stand beside the choices. */
export function toChoice(
  found: Omit<Choice, 'correct' | 'subject'> & { readonly subject?: string | undefined },
  labels: readonly string[],
  right: string | number,
): Choice {
  const { id, context, choices, subject } = found;
  if (labels.length !== choices.length) {
    throw new RowError(`expected a label for each choice, got ${labels.length} for ${choices.length}`);
  }
  const correct = labels.indexOf(String(right));
  if (correct < 0) throw new RowError(`expected the right answer among ${labels.join(', ')}, got "${right}"`);
  return { id, context, choices, correct, ...(subject !== undefined && { subject }) };
}
