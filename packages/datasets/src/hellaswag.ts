// HellaSwag: which of four endings goes on with a text? 39,905 for training, 10,042 for validation; the test labels are
// not public, so validation is what is reported.
//
// Source: https://github.com/rowanz/hellaswag, data/hellaswag_{train,val}.jsonl; on the hub Rowan/hellaswag. Licence:
// MIT. Paper: Zellers et al. 2019, arXiv:1905.07830. A row of https://github.com/klosax/hellaswag_text_data, whose
// author removed the marks in brackets (the original has `ind`, `ctx_a`, `ctx_b`, `split_type`, `source_id` besides):
//
//   {"row": 4, "activity_label": "High jump", "ctx": "A boy is running down a track. the boy", "label": 2,
//    "endings": ["runs into a car.", "gets in a mat.", "lifts his body above the height of a pole.", "stands on his
//     hands and springs."]}
//
// Contexts and endings are prepared as EleutherAI's lm-evaluation-harness does (lm_eval/tasks/hellaswag/utils.py at
// 0a9cc282801e4d5d1c978b099f7d0bc5bd00e09d): context = `activity_label: ctx_a Ctx_b`, the second half with only its
// first letter in upper case; ` [title]` becomes `. `; other marks in brackets, artefacts of WikiHow such as [header]
// and [step], go; double spaces become single ones, once. Without `ctx_a` and `ctx_b`, `ctx` is taken as it stands, its
// second half in lower case. `label` is an index, on the hub as text: "3". Rows without a label (the test file) are
// malformed.
//
// Split: train and validation are files; lm-evaluation-harness reports accuracy on validation.
import { z } from 'zod';
import { type Choice, toChoice } from './choice.js';
import { fileId, readItems, type Tolerance, text, textOrNumber } from './rows.js';

/** Both halves of a context, or the whole as the second. */
const halves = (row: unknown): unknown =>
  row !== null && typeof row === 'object' && 'ctx' in row && !('ctx_a' in row && 'ctx_b' in row)
    ? { ...row, ctx_a: row.ctx, ctx_b: '' }
    : row;

const row = z.preprocess(
  halves,
  z.object({
    activity_label: text,
    ctx_a: z.string(),
    ctx_b: z.string(),
    endings: z.array(text).length(4),
    label: textOrNumber,
  }),
);

const capitalized = (sentence: string) => sentence.slice(0, 1).toUpperCase() + sentence.slice(1).toLowerCase();

function cleaned(marked: string): string {
  return marked
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
}

/**
 * Reads HellaSwag. An ending goes after the context and a space. Ids are the file's name and line,
 * `hellaswag/val/7`.
 *
 * @throws Error as `readRows`; a row whose label is not 0 to 3 is malformed.
 * @example (await readHellaswag('hellaswag_val.jsonl')).length // 10042
 */
export function readHellaswag(path: string, tolerance?: Tolerance): Promise<Choice[]> {
  return readItems(
    path,
    row,
    ({ activity_label, ctx_a, ctx_b, endings, label }, line) => {
      const context = cleaned(`${activity_label}: ${ctx_a} ${capitalized(ctx_b)}`);
      const id = fileId('hellaswag', path, line);
      return toChoice({ id, context, choices: endings.map(cleaned) }, ['0', '1', '2', '3'], label);
    },
    tolerance,
  );
}
