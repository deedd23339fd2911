// AMC 23: 40 problems of the American Mathematics Competitions of 2023 (AMC 12 A and B), without their choices.
//
// Source: https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/amc23/test.jsonl. The problems are the Mathematical
// Association of America's; no licence of the data is stated. A row:
//
//   {"id": 19, "problem": "How many digits are in the base-ten representation of $8^5 \\cdot 5^{10} \\cdot 15^5$?",
//    "answer": 18.0, "url": "https://artofproblemsolving.com/wiki/index.php/2023_AMC_12A_Problems/Problem_4",
//    "question": "How many digits are in the base-ten representation of $8^5 \\cdot 5^{10} \\cdot 15^5$?"}
//
// The answer is a floating-point number, 36.0; here it is its shortest text, `36`. The text is `problem`, repeated as
// `question`.
//
// Split: a test set.
import { z } from 'zod';
import { type Problem, toProblem } from './problem.js';
import { fileId, readItems, type Tolerance, text, textOrNumber } from './rows.js';

const row = z.object({ problem: text, answer: textOrNumber });

/**
 * Reads AMC 23. Ids are the file's name and line, `amc/test/7`.
 *
 * @throws Error as `readRows`.
 * @example (await readAmc('amc23/test.jsonl')).length // 40
 */
export function readAmc(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ problem: question, answer }, line) => toProblem({ id: fileId('amc', path, line), question, answer }),
    tolerance,
  );
}
