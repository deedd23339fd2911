// GSM8K: 8,792 word problems for grade school, 7,473 of them for training.
//
// Source: https://github.com/openai/grade-school-math, grade_school_math/data/{train,test}.jsonl. Licence: MIT.
// Paper: Cobbe et al. 2021, arXiv:2110.14168. A row (line 2349 of train.jsonl):
//
//   {"question": "What is fifteen more than a quarter of 48?",
//    "answer": "A quarter of 48 is 48/4=<<48/4=12>>12.\nThe number is 12+15=<<12+15=27>>27.\n#### 27"}
//
// The answer is what follows the last `####`, its commas removed, as in the official
// grade_school_math/dataset.py (`#### (\-?[0-9\.\,]+)`). `<<48/4=12>>` are calculator marks, not text.
import { z } from 'zod';
import { readJsonLines, stemOf } from './jsonl.js';
import type { Problem } from './problem.js';

const row = z.object({ question: z.string().min(1), answer: z.string() });

const answerLine = /^(?<worked>.*)####\s*(?<answer>-?\d[\d,]*(?:\.\d+)?)\s*$/s;
const calculatorMark = /<<[^<>]*>>/g;

/**
 * Reads GSM8K in its original format, JSON lines, plain or gzip.
 *
 * The answer loses its thousands separators. The solution is the worked text without calculator marks, brought into
 * the format of `splitSolution`: ` A quarter of 48 is 48/4=12.\n... The final answer is: \boxed{27}`. Ids are the
 * file's name and line, `gsm8k/train/2349`.
 *
 * Throws Error as `readJsonLines`, and with path:line for a row without `####` and a number after it.
 *
 * @example readGsm8k('train.jsonl.gz')[2348]?.answer // '27'
 */
export function readGsm8k(path: string): Problem[] {
  return readJsonLines(path, row).map(({ line, value: { question, answer: text } }) => {
    const groups = answerLine.exec(text)?.groups;
    if (!groups) {
      const got = JSON.stringify(text.slice(-40));
      throw new Error(`${path}:${line}: expected an answer that ends in "#### " and a number, got ${got}`);
    }
    const answer = groups.answer!.replaceAll(',', '');
    const worked = groups.worked!.replace(calculatorMark, '').trim();
    const solution = `${worked && ` ${worked}`} The final answer is: \\boxed{${answer}}`;
    return { id: `gsm8k/${stemOf(path)}/${line}`, question, answer, solution };
  });
}
