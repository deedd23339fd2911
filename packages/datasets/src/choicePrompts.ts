// Choice questions as text to score: log p(choice | context) of each choice. As EleutherAI's lm-evaluation-harness puts
// them without examples, in the YAML tasks of its versions 0.4 (https://github.com/EleutherAI/lm-evaluation-harness):
//
//   lm_eval/tasks/hellaswag/hellaswag.yaml at 05480a113337871a28d52dc31da19e4123f8742b
//   lm_eval/tasks/arc/arc_easy.yaml at 0671c9cc7f5ec8aea80967aae9c31641110fb94e (Challenge includes it)
//   lm_eval/tasks/mmlu/default/_default_template_yaml at 00859825db00aee796be74292ea869978225f1e9, and the description
//   of mmlu_abstract_algebra.yaml at 470059f67ce1d96cd89d9e832f2811765faa2a42
//
// Tasks of type multiple_choice put one space, `target_delimiter`, before a choice; here it is part of the choice.
import type { Choice } from './choice.js';
import { plainPrompt } from './prompts.js';

/** A choice question as text: each choice follows the context as it stands, its leading space included. */
export interface ChoicePrompt {
  readonly context: string;
  readonly choices: readonly string[];
}

const spaced = (choices: readonly string[]) => choices.map((choice) => ` ${choice}`);

/**
 * HellaSwag: the text, and the endings that may go on with it.
 *
 * @example hellaswagPrompt(choice) // { context: 'High jump: A boy is running ...', choices: [' runs into a car.', ...] }
 */
export function hellaswagPrompt({ context, choices }: Choice): ChoicePrompt {
  return { context, choices: spaced(choices) };
}

/**
 * ARC: the question alone, and the choices in words; their letters are not shown.
 *
 * @example arcPrompt(choice) // { context: 'Question: What causes sound?\nAnswer:', choices: [' sunlight', ...] }
 */
export function arcPrompt({ context, choices }: Choice): ChoicePrompt {
  return { context: `Question: ${context}\nAnswer:`, choices: spaced(choices) };
}

/**
 * MMLU: what the questions are about, the question, its choices from A on; and the letters.
 *
 * @example mmluPrompt(choice).choices // [' A', ' B', ' C', ' D']
 */
export function mmluPrompt({ context, choices, subject }: Choice): ChoicePrompt {
  const about = subject === undefined ? '' : ` about ${subject.replaceAll('_', ' ')}`;
  const letters = choices.map((_, i) => String.fromCharCode('A'.charCodeAt(0) + i));
  const listed = choices.map((choice, i) => `${letters[i]}. ${choice}`);
  const opening = `The following are multiple choice questions (with answers)${about}.`;
  return {
    context: [opening, '', context.trim(), ...listed, 'Answer:'].join('\n'),
    choices: spaced(letters),
  };
}

/**
 * A question in a prompt, by default `plainPrompt`, and worked solutions, which have their leading space already.
 *
 * @example solutionPrompt(arithmeticChoices({ split: 'test', count: 1, seed: 1 })[0]!).context // 'User: ... Assistant:'
 */
export function solutionPrompt(
  { context, choices }: Choice,
  prompt: (question: string) => string = plainPrompt,
): ChoicePrompt {
  return { context: prompt(context), choices };
}
