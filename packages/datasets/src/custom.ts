import { z } from 'zod';
import { stemOf } from './file.js';
import type { Problem } from './problem.js';
import { RowError, readItems, type Tolerance } from './rows.js';

/** Which field of a row holds what. */
export interface QuestionFields {
  readonly question: string;
  /** A text, or a number, which becomes its shortest text: 36.0 is `36`. */
  readonly answer: string;
  /** Default: the file's name and the line. */
  readonly id?: string;
  /** A solution in the format of `splitSolution`. */
  readonly solution?: string;
}

const row = z.record(z.string(), z.unknown());

/**
 * Reads a question set of your own, in any format of `readRows`, with the field names you say. Others are ignored.
 *
 * @throws Error as `readRows`. Malformed are also rows where a named field is missing, is no text (for the answer and
 * the id: or finite number), or is empty; and a row whose id another has.
 * @example await readQuestions('amc.jsonl', { question: 'problem', answer: 'answer' })
 */
export function readQuestions(path: string, fields: QuestionFields, tolerance?: Tolerance): Promise<Problem[]> {
  return readItems(
    path,
    row,
    (value, line) => {
      const id = fields.id === undefined ? `${stemOf(path)}/${line}` : textField(value, fields.id, true);
      const question = textField(value, fields.question, false);
      const problem = { id, question, answer: textField(value, fields.answer, true) };
      return fields.solution === undefined
        ? problem
        : { ...problem, solution: textField(value, fields.solution, false) };
    },
    tolerance,
  );
}

function textField(value: Record<string, unknown>, field: string, orNumber: boolean): string {
  if (!Object.hasOwn(value, field)) {
    const present = Object.keys(value).slice(0, 20).join(', ') || 'none';
    throw new RowError(`expected a field "${field}", got the fields: ${present}; name the right one`);
  }
  const content = value[field];
  if (typeof content === 'string' && content.trim() !== '') return content;
  if (orNumber && typeof content === 'number' && Number.isFinite(content)) return String(content);
  const wanted = orNumber ? 'text or a number' : 'text';
  throw new RowError(`expected "${field}" to hold ${wanted}, got ${JSON.stringify(content)}`);
}
