// MATH-500: 500 of the 5,000 test problems of MATH, drawn at random.
//
// Source: https://github.com/openai/prm800k, prm800k/math_splits/test.jsonl; on the hub HuggingFaceH4/MATH-500,
// test.jsonl. Licence: MIT. Paper: Lightman et al. 2023, arXiv:2305.20050. A row:
//
//   {"problem": "Evaluate $\\log_264$.", "solution": "We have $2^6=64$, so $\\log_2 64 = \\boxed{6}$.",
//    "answer": "6", "subject": "Algebra", "level": 2, "unique_id": "test/algebra/1255.json"}
//
// The answer is a field of its own; `unique_id` is the path of the problem in MATH, `level` a number from 1 to 5.
//
// Split: a test set. The other 4,500 test problems of MATH were training data of that paper; MATH's training file has
// none of these 500.
import { z } from 'zod';
import { type Problem, toProblem } from './problem.js';
import { readItems, type Tolerance, text, textOrNumber } from './rows.js';

const row = z.object({
  problem: text,
  solution: text,
  answer: textOrNumber,
  level: z.number().int().optional(),
  unique_id: text,
});

/**
 * Reads MATH-500. Ids are `math500/test/algebra/5`.
 *
 * @throws Error as `readRows`.
 * @example (await readMath500('test.jsonl')).length // 500
 */
export function readMath500(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ problem: question, solution: worked, answer, level, unique_id }) =>
      toProblem({ id: `math500/${unique_id.replace(/\.json$/, '')}`, question, answer, worked, level }),
    tolerance,
  );
}
