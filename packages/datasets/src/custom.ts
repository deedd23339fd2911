import { z } from 'zod';
import { readJsonLines, stemOf } from './jsonl.js';
import type { Problem } from './problem.js';

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
 * Reads a question set of your own: JSON lines, plain or gzip, with the field names you say. Other fields are ignored.
 *
 * Throws Error as `readJsonLines`, and with path:line when a named field is missing, is no text (for the answer and
 * the id: or finite number), or is empty; and when two rows have one id.
 *
 * @example readQuestions('amc.jsonl', { question: 'problem', answer: 'answer' })
 */
export function readQuestions(path: string, fields: QuestionFields): Problem[] {
  const lineOf = new Map<string, number>();
  return readJsonLines(path, row).map(({ line, value }) => {
    const place = `${path}:${line}`;
    const text = (field: string) => textField(place, value, field, false);
    const textOrNumber = (field: string) => textField(place, value, field, true);
    const id = fields.id === undefined ? `${stemOf(path)}/${line}` : textOrNumber(fields.id);
    const before = lineOf.get(id);
    if (before !== undefined) throw new Error(`${place}: expected ids that differ, got "${id}", as on line ${before}`);
    lineOf.set(id, line);
    const problem = { id, question: text(fields.question), answer: textOrNumber(fields.answer) };
    return fields.solution === undefined ? problem : { ...problem, solution: text(fields.solution) };
  });
}

function textField(place: string, value: Record<string, unknown>, field: string, orNumber: boolean): string {
  if (!Object.hasOwn(value, field)) {
    const present = Object.keys(value).slice(0, 20).join(', ') || 'none';
    throw new Error(`${place}: expected a field "${field}", got the fields: ${present}; name the right one`);
  }
  const content = value[field];
  if (typeof content === 'string' && content.trim() !== '') return content;
  if (orNumber && typeof content === 'number' && Number.isFinite(content)) return String(content);
  const wanted = orNumber ? 'text or a number' : 'text';
  throw new Error(`${place}: expected "${field}" to hold ${wanted}, got ${JSON.stringify(content)}`);
}
