// DeepScaleR-Preview: about 40,000 competition problems with answers, of AIME, AMC, Omni-MATH and STILL.
//
// Source: https://github.com/agentica-project/deepscaler, deepscaler/data/train/*.json (arrays of rows; on the hub
// agentica-org/DeepScaleR-Preview-Dataset). Licence: MIT. A row of train/math.json:
//
//   {"problem": "Evaluate $\\log_464$.", "answer": "3", "difficulty": 2.0, "type": "Algebra"}
//
// `solution` is in some parts only. Four rows of math.json have no answer, a null where MATH writes `\boxed 2` and
// an empty text where its box is empty; they are malformed.
//
// The rows of verl's training files are read too, such as dsr_sub.parquet of https://github.com/ypwang61/One-Shot-RLVR
// (Apache-2.0): `prompt[0].content` is the question and a sentence on format, which is removed, and
// `reward_model.ground_truth` the answer. Of its 1,209 rows one has no answer and one an answer that is cut short,
// `...\frac{k!n!}{(k+n-1)!`; they are malformed.
//
// Split: a training set; validation is held out of it.
import { z } from 'zod';
import { type Problem, toProblem, withoutDollars } from './problem.js';
import { fileId, readItems, type Tolerance, text, textOrNumber } from './rows.js';

const formatSentence = /\s*Let's think step by step and output the final answer within \\boxed\{\}\.\s*$/;

const verlRow = z.object({
  prompt: z.tuple([z.object({ content: z.string() })]),
  reward_model: z.object({ ground_truth: z.unknown() }),
});

/** Rows of verl in the fields of the others. */
function flattened(row: unknown): unknown {
  const { success, data } = verlRow.safeParse(row);
  return success
    ? { problem: data.prompt[0].content.replace(formatSentence, ''), answer: data.reward_model.ground_truth }
    : row;
}

const row = z.preprocess(flattened, z.object({ problem: text, answer: textOrNumber, solution: z.string().nullish() }));

/**
 * Reads DeepScaleR, its own files or verl's. Ids are the file's name and line, `deepscaler/math/7`.
 *
 * @throws Error as `readRows`.
 * @example await readDeepscaler('math.json', { maxMalformed: 4, onMalformed: (rows) => console.warn(rows) })
 */
export function readDeepscaler(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ problem: question, answer, solution: worked }, line) =>
      toProblem({ id: fileId('deepscaler', path, line), question, answer: withoutDollars(answer), worked }),
    tolerance,
  );
}
