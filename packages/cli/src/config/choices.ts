// Sets of questions with choices, as a recipe names them, and as a model is asked them.
import {
  arcPrompt,
  arithmeticChoices,
  type Choice,
  type ChoicePrompt,
  describeMalformed,
  hellaswagPrompt,
  mmluPrompt,
  readArc,
  readHellaswag,
  readMmlu,
  solutionPrompt,
  type Tolerance,
} from '@soft-tokens/datasets';
import type { Tokenizer } from '@soft-tokens/models';
import { type ChoiceItem, choiceItem } from '@soft-tokens/rl';
import { usageError } from '../errors.js';
import { promptText } from './data.js';
import type { ChoicesConfig, choiceFileSets, PromptKind } from './recipe.js';

interface FileSet {
  read(path: string, tolerance: Tolerance): Promise<Choice[]>;
  prompt(choice: Choice): ChoicePrompt;
}

const fileSets: Record<(typeof choiceFileSets)[number], FileSet> = {
  hellaswag: { read: readHellaswag, prompt: hellaswagPrompt },
  arc: { read: readArc, prompt: arcPrompt },
  mmlu: { read: readMmlu, prompt: mmluPrompt },
};

/**
 * The questions of a set. `note` is told of malformed rows that are left out.
 *
 * @throws CliError (exit code 2) for a set without questions; Error naming file:line for data that is not what it
 * should be.
 * @example await choicesOf({ kind: 'arithmetic', levels: [4, 5], test: 200, seed: 1 });
 */
export async function choicesOf(config: ChoicesConfig, note: (text: string) => void = () => {}): Promise<Choice[]> {
  if (config.kind === 'arithmetic') {
    return arithmeticChoices({ split: 'test', count: config.test, seed: config.seed, levels: config.levels });
  }
  const { kind, test: path, limit, maxMalformed = 0 } = config;
  const onMalformed: Tolerance['onMalformed'] = (rows) =>
    note(`${path}: ${rows.length} malformed rows left out:\n  ${describeMalformed(rows)}\n`);
  const choices = (await fileSets[kind].read(path, { maxMalformed, onMalformed })).slice(0, limit);
  if (choices.length === 0) throw usageError(`${path}: expected at least one question, got none`);
  return choices;
}

/** A question as a model is asked it: public sets in their own words, worked solutions in the recipe's prompt. */
export function toChoiceItem(
  kind: ChoicesConfig['kind'],
  choice: Choice,
  prompt: PromptKind,
  tokenizer: Tokenizer,
): ChoiceItem {
  const text =
    kind === 'arithmetic'
      ? solutionPrompt(choice, (question) => promptText(prompt, question, tokenizer))
      : fileSets[kind].prompt(choice);
  return choiceItem(tokenizer, { ...text, id: choice.id, correct: choice.correct });
}
