// MMLU: questions of 57 subjects with four choices; 14,042 for testing, 1,531 for validation, and 5 a subject (dev,
// 285) as examples in prompts.
//
// Source: https://github.com/hendrycks/test, MIT; on the hub cais/mmlu. Paper: Hendrycks et al. 2021, arXiv:2009.03300.
// Published as CSV; the hub has `choices` as a list, the copy in
// https://github.com/HaeChan0305/MLILAB-FedLLM a field each, `choice0` to `choice3`. A row of that, with its subject:
//
//   {"subject": "abstract_algebra", "row": 5, "question": "Find the characteristic of the ring 2Z.",
//    "choice0": "0", "choice1": "3", "choice2": "12", "choice3": "30", "answer": 0}
//
// `answer` is an index from 0, or a letter from A to D.
//
// Split: dev, validation and test are files; the training file is drawn from other sets.
import { z } from 'zod';
import { type Choice, toChoice } from './choice.js';
import { fileId, readItems, type Tolerance, text, textOrNumber } from './rows.js';

const apart = z.looseObject({ choice0: z.unknown(), choice1: z.unknown(), choice2: z.unknown(), choice3: z.unknown() });

function together(row: unknown): unknown {
  const { success, data } = apart.safeParse(row);
  return success && !('choices' in data) && 'choice0' in data
    ? { ...data, choices: [data.choice0, data.choice1, data.choice2, data.choice3] }
    : row;
}

const row = z.preprocess(
  together,
  z.object({ question: text, choices: z.array(text).length(4), answer: textOrNumber, subject: text.optional() }),
);

/**
 * Reads MMLU. Ids are the file's name and line, `mmlu/test/7`; `subject` is as the row has it, `abstract_algebra`.
 *
 * @throws Error as `readRows`; a row whose answer is neither 0 to 3 nor A to D is malformed.
 * @example (await readMmlu('test.parquet'))[0]?.choices.length // 4
 */
export function readMmlu(path: string, tolerance?: Tolerance): Promise<Choice[]> {
  return readItems(
    path,
    row,
    ({ question, choices, answer, subject }, line) => {
      const labels = /^[A-D]$/.test(answer) ? ['A', 'B', 'C', 'D'] : ['0', '1', '2', '3'];
      return toChoice({ id: fileId('mmlu', path, line), context: question, choices, subject }, labels, answer);
    },
    tolerance,
  );
}
