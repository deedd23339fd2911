// GSM8K: 8,792 word problems for grade school, 7,473 of them for training.
//
// Source: https://github.com/openai/grade-school-math, grade_school_math/data/{train,test}.jsonl; on the hub
// openai/gsm8k, main/{train,test}-00000-of-00001.parquet. Licence: MIT. Paper: Cobbe et al. 2021, arXiv:2110.14168. A row
// (line 2349 of train.jsonl):
//
//   {"question": "What is fifteen more than a quarter of 48?",
//    "answer": "A quarter of 48 is 48/4=<<48/4=12>>12.\nThe number is 12+15=<<12+15=27>>27.\n#### 27"}
//
// The answer is what follows the last `####`, its commas removed, as in the official
// grade_school_math/dataset.py (`#### (\-?[0-9\.\,]+)`). `<<48/4=12>>` are calculator marks, not text.
//
// Split: train and test are files; validation is held out of train.
import { z } from 'zod';
import type { Problem } from './problem.js';
import { fileId, RowError, readItems, type Tolerance, text } from './rows.js';
import { taughtSolution } from './solution.js';

const row = z.object({ question: text, answer: z.string() });

const answerLine = /^(?<worked>.*)####\s*(?<answer>-?\d[\d,]*(?:\.\d+)?)\s*$/s;
const calculatorMark = /<<[^<>]*>>/g;

/**
 * Reads GSM8K in its original format, or as Parquet.
 *
 * The answer loses its thousands separators. The solution is the worked text without calculator marks, brought into
 * the format of `splitSolution`: ` A quarter of 48 is 48/4=12.\n... The final answer is: \boxed{27}`. Ids are the
 * file's name and line, `gsm8k/train/2349`.
 *
 * @throws Error as `readRows`; a row without `####` and a number after it is malformed.
 * @example (await readGsm8k('train.jsonl.gz'))[2348]?.answer // '27'
 */
export function readGsm8k(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ question, answer: content }, line) => {
      const groups = answerLine.exec(content)?.groups;
      if (!groups) {
        const got = JSON.stringify(content.slice(-40));
        throw new RowError(`expected an answer that ends in "#### " and a number, got ${got}`);
      }
      const answer = groups.answer!.replaceAll(',', '');
      const solution = taughtSolution(groups.worked!.replace(calculatorMark, ''), answer);
      return { id: fileId('gsm8k', path, line), question, answer, ...(solution !== undefined && { solution }) };
    },
    tolerance,
  );
}
