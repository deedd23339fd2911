import { prefill, stopPhrase } from './prompts.js';

/** A solution as the two phases of generation see it. */
export interface SplitSolution {
  /** Up to and including the stop phrase. */
  readonly thought: string;
  /** What follows the prefill `\boxed{`: the content of the box and its closing brace. */
  readonly answer: string;
}

/** Where the brace closes that is open before `from`; -1 if nowhere. `\{` and `\}` are characters. */
export function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

/**
 * Splits a solution, ` 7+5=12. The final answer is: \boxed{12}`, into the thought and the answer that a model is to
 * generate: thought + `prefill.stopped` + answer is the solution, but for the space before the box.
 *
 * Throws Error unless the stop phrase occurs exactly once (generation stops at the first) and one box with balanced
 * braces follows it and ends the text, white space apart.
 *
 * @example splitSolution(' 7+5=12. The final answer is: \\boxed{12}')
 * // { thought: ' 7+5=12. The final answer is:', answer: '12}' }
 */
export function splitSolution(solution: string): SplitSolution {
  const fail = (got: string): never => {
    const end = JSON.stringify(solution.slice(-60));
    throw new Error(`splitSolution: expected "... ${prefill.capped}answer}", got ${got} in text that ends ${end}`);
  };
  const [before, after, ...more] = solution.split(stopPhrase);
  if (before === undefined || after === undefined) return fail('no stop phrase');
  if (more.length > 0) return fail(`${more.length + 1} stop phrases`);
  const box = after.trim();
  if (!box.startsWith(prefill.stopped)) return fail('no box after the stop phrase');
  const end = closingBrace(box, prefill.stopped.length);
  if (end < 0) return fail('a box that is never closed');
  if (end < box.length - 1) return fail('text after the box');
  return { thought: before + stopPhrase, answer: box.slice(prefill.stopped.length) };
}

/** A worked text in the format of `splitSolution`; undefined when generation would stop inside it. */
export function taughtSolution(worked: string, answer: string): string | undefined {
  const thought = worked.trim();
  return thought.includes(stopPhrase) ? undefined : `${thought && ` ${thought}`} ${prefill.capped}${answer}}`;
}

const boxStart = /\\boxed\s*(?<brace>\{?)/g;

/**
 * What the last `\boxed{...}` of a worked text holds, or undefined where there is none or it never closes. `\boxed 2`
 * holds what follows it up to the end of its formula.
 *
 * For worked texts of a data set, as the official code of MATH finds its answers (`last_boxed_only_string` of
 * https://github.com/hendrycks/math, modeling/math_equivalence.py and dataset/util.py).
 */
export function lastBox(worked: string): string | undefined {
  const start = [...worked.matchAll(boxStart)].at(-1);
  if (!start) return undefined;
  const from = start.index + start[0].length;
  const end = start.groups!.brace ? closingBrace(worked, from) : worked.slice(from).search(/\$|$/) + from;
  return end < 0 ? undefined : worked.slice(from, end).trim() || undefined;
}
