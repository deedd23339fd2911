// MATH: 12,500 problems of American competitions in seven subjects and five levels, 7,500 of them for training.
//
// Source: https://github.com/hendrycks/math. Licence: MIT. Paper: Hendrycks et al. 2021, arXiv:2103.03874. Published as
// a JSON file a problem, here as rows of them (as on the hub, hendrycks_math); `unique_id` is the file's path, as
// MATH-500 writes it, and may be absent. A row:
//
//   {"problem": "Simplify $t^3\\cdot t^4$.", "level": "Level 1", "type": "Algebra",
//    "solution": "$t^3\\cdot t^4 = t^{3+4} = \\boxed{t^7}$.", "unique_id": "train/algebra/2655.json"}
//
// The answer is the content of the solution's last \boxed, as in the official code. Two training rows write it without
// braces, `\boxed 2`; two leave the box empty, and are malformed. `level` is `Level 1` to `Level 5`; `Level ?` (two
// training rows) is none.
//
// Split: train and test are files; validation is held out of train.
import { z } from 'zod';
import { type Problem, toProblem } from './problem.js';
import { fileId, RowError, readItems, type Tolerance, text } from './rows.js';
import { lastBox } from './solution.js';

const row = z.object({
  problem: text,
  solution: text,
  level: z.string().optional(),
  unique_id: text.optional(),
});

/**
 * Reads MATH. Ids are `math/train/algebra/5`, or the file's name and line where a row has no `unique_id`.
 *
 * @throws Error as `readRows`; a row whose solution has no \boxed answer is malformed.
 * @example (await readMath('train.jsonl.gz'))[0]?.answer // '0'
 */
export function readMath(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ problem: question, solution: worked, level, unique_id }, line) => {
      const answer = lastBox(worked);
      if (answer === undefined) {
        throw new RowError(`expected a solution with a \\boxed{answer}, got ${JSON.stringify(worked.slice(-40))}`);
      }
      const id = unique_id === undefined ? fileId('math', path, line) : `math/${unique_id.replace(/\.json$/, '')}`;
      const digit = /^Level (\d)$/.exec(level ?? '')?.[1];
      return toProblem({ id, question, answer, worked, level: digit === undefined ? undefined : Number(digit) });
    },
    tolerance,
  );
}
