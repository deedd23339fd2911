// OlympiadBench, the part that the paper tests on: 675 open-ended English mathematics problems of olympiads without
// images, with final answers (OE_TO_maths_en_COMP).
//
// Source: https://github.com/OpenBMB/OlympiadBench, on the hub Hothan/OlympiadBench; also
// https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/olympiadbench/test.jsonl. Licence: Apache-2.0 by the hub.
// Paper: He et al. 2024, arXiv:2402.14008. A row, its solution cut:
//
//   {"id": 2787, "subfield": "Number Theory", "context": null,
//    "question": "Compute the largest prime divisor of $15 !-13$ !.",
//    "solution": ["Factor 15 ! -13 ! to obtain $13 !(15 \\cd ..."], "final_answer": ["19"],
//    "is_multiple_answer": false, "unit": null, "answer_type": "Numerical", "error": null}
//
// `final_answer` is a list, of one text in all rows that we saw; several answers are in that text, with commas. The
// answer is the list with commas between, without the dollar signs of a single formula. `unit` and `error` (a
// tolerance) are not part of it. `context`, where a row has one, goes before the question. The first solution is taken.
//
// Split: a test set.
import { z } from 'zod';
import { type Problem, toProblem, withoutDollars } from './problem.js';
import { RowError, readItems, type Tolerance, text, textOrNumber } from './rows.js';

const row = z.object({
  id: textOrNumber,
  context: z.string().nullish(),
  question: text,
  solution: z.array(z.string()).nullish(),
  final_answer: z.array(text).min(1),
  modality: z.literal('Text-only').optional(),
});

const image = /<image_\d+>/;

/**
 * Reads OlympiadBench's text-only problems with final answers. Ids are the set's own, `olympiadbench/1610`.
 *
 * @throws Error as `readRows`; a row with an image or without a final answer is malformed.
 * @example (await readOlympiadbench('test.jsonl'))[0]?.answer // '2'
 */
export function readOlympiadbench(path: string, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    ({ id, context, question: asked, solution, final_answer }) => {
      const question = context?.trim() ? `${context.trim()}\n${asked}` : asked;
      if (image.test(question)) throw new RowError('expected a question of text, got one with an image');
      const answer = withoutDollars(final_answer.join(', '));
      return toProblem({ id: `olympiadbench/${id}`, question, answer, worked: solution?.[0] });
    },
    tolerance,
  );
}
