// AIME, 2024 and 2025: 30 problems a year of the American Invitational Mathematics Examination.
//
// Sources: https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/aime24/test.jsonl, and math-evaluation-harness,
// data/aime25/test.jsonl. The problems are the Mathematical Association of America's; no licence of the data is stated.
// A row of 2025:
//
//   {"answer": "117",
//    "problem": "Find the number of ordered pairs $(x,y)$, where both $x$ and $y$ are integers between $-100$ and
//     $100$ inclusive, such that $12x^2-xy-6y^2=0$."}
//
// The answer is a whole number from 0 to 999, also written with three digits (`025`) or as degrees (`336^\circ`); it
// is given here without leading zeros and unit. The text is `problem`; rows of 2024 repeat it as `question`.
//
// Split: test sets.
import { z } from 'zod';
import { type Problem, toProblem } from './problem.js';
import { fileId, RowError, readItems, type Tolerance, text, textOrNumber } from './rows.js';

const row = z.object({ problem: text, answer: textOrNumber, solution: z.string().nullish() });

const answerText = /^0*(?<number>\d{1,3})(?:\^\\circ|\^\{\\circ\})?$/;

/**
 * Reads AIME problems of a year. Ids are the file's name and line, `aime/test/7`.
 *
 * @throws Error as `readRows`; a row whose answer is no whole number from 0 to 999 is malformed.
 * @example (await readAime('aime24/test.jsonl'))[3]?.answer // '25', where the file has "025"
 */
export function readAime(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ problem: question, answer: written, solution: worked }, line) => {
      const answer = answerText.exec(written.trim())?.groups?.number;
      if (answer === undefined) throw new RowError(`expected an answer from 0 to 999, got ${JSON.stringify(written)}`);
      return toProblem({ id: fileId('aime', path, line), question, answer, worked });
    },
    tolerance,
  );
}
