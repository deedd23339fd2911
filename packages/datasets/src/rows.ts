import type { ZodType } from 'zod';
import { z } from 'zod';
import { type RawRow, rawRows, reasonOf, shortened, stemOf } from './file.js';

/** A value with the line it stood on, from 1; of Parquet and JSON arrays the row. */
export interface Line<T> {
  readonly line: number;
  readonly value: T;
}

/** A row that is not what its set's rows are. */
export interface MalformedRow {
  readonly line: number;
  /** `train.jsonl:7: answer: Invalid input: expected string, received null; got {...}` */
  readonly message: string;
}

/** How many malformed rows may be left out, and who is told of them. */
export interface Tolerance {
  /** With more of them the reading fails; without a tolerance any one makes it fail. */
  readonly maxMalformed: number;
  /** Called once, and only when rows are left out: none is ever dropped in silence. */
  readonly onMalformed: (rows: readonly MalformedRow[]) => void;
}

/** Rows that a message lists; the others it counts. */
const listed = 5;

/** A complaint about a row that only its loader can make; the reader adds the place. */
export class RowError extends Error {
  override name = 'RowError';
}

function checkRow<T>(raw: RawRow, schema: ZodType<T>): T {
  let value: unknown;
  try {
    value = raw.read();
  } catch (error) {
    throw new RowError(reasonOf(error), { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const complaints = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the row'}: ${message}`);
  throw new RowError(`${complaints.join('; ')}; got ${shortened(JSON.stringify(value))}`);
}

/**
 * Malformed rows as text, the first five of them.
 *
 * @example describeMalformed([{ line: 7, message: 'train.jsonl:7: answer: ...' }]) // 'train.jsonl:7: answer: ...'
 */
export function describeMalformed(rows: readonly MalformedRow[]): string {
  const more = rows.length > listed ? [`... and ${rows.length - listed} more`] : [];
  return [...rows.slice(0, listed).map(({ message }) => message), ...more].join('\n  ');
}

/** Reads, checks and converts; what only `convert` can know to be wrong it says by a RowError. */
async function collect<T, R>(
  path: string,
  schema: ZodType<T>,
  convert: (value: T, line: number) => R,
  tolerance?: Tolerance,
): Promise<R[]> {
  const limit = tolerance?.maxMalformed ?? 0;
  if (!Number.isInteger(limit) || limit < 0) {
    throw new RangeError(`${path}: expected maxMalformed to be an integer ≥ 0, got ${limit}`);
  }
  const rows = await rawRows(path);
  const converted: R[] = [];
  const malformed: MalformedRow[] = [];
  for (const raw of rows) {
    try {
      converted.push(convert(checkRow(raw, schema), raw.line));
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      malformed.push({ line: raw.line, message: `${path}:${raw.line}: ${error.message}` });
    }
  }
  if (malformed.length > limit) {
    throw new Error(
      `${path}: expected at most ${limit} malformed rows, got ${malformed.length} of ${rows.length}:\n  ` +
        `${describeMalformed(malformed)}\nmend them, or raise maxMalformed to leave them out`,
    );
  }
  if (malformed.length > 0) tolerance!.onMalformed(malformed);
  return converted;
}

/**
 * Reads a file of rows and checks each: JSON lines, one JSON array, either of them gzip, or Parquet.
 *
 * The format is told by content, not by name; the file is read whole. 64-bit integers of Parquet are numbers where
 * those are exact, else text.
 *
 * - `schema`: a zod schema of one row; its transformations apply
 * - `tolerance`: how many malformed rows may be left out; none by default
 *
 * @throws Error naming the path for a file that is missing, a directory, empty, not UTF-8, truncated or damaged; and
 * listing path:line of malformed rows, which are no JSON or do not fit the schema, when there are too many.
 * @example await readRows('rows.jsonl.gz', z.object({ n: z.number() })) // [{ line: 1, value: { n: 1 } }]
 */
export function readRows<T>(path: string, schema: ZodType<T>, tolerance?: Tolerance): Promise<Line<T>[]> {
  return collect(path, schema, (value, line) => ({ line, value }), tolerance);
}

/** Rows as what a set consists of; an id that occurs twice is malformed where it comes again. */
export function readItems<T, R extends { readonly id: string }>(
  path: string,
  schema: ZodType<T>,
  toItem: (value: T, line: number) => R,
  tolerance?: Tolerance,
): Promise<R[]> {
  const lineOf = new Map<string, number>();
  const convert = (value: T, line: number): R => {
    const item = toItem(value, line);
    const before = lineOf.get(item.id);
    if (before !== undefined) throw new RowError(`expected ids that differ, got "${item.id}", as on line ${before}`);
    lineOf.set(item.id, line);
    return item;
  };
  return collect(path, schema, convert, tolerance);
}

/** The id of an item whose set gives it none that is unique: `gsm8k/train/2349`. */
export const fileId = (set: string, path: string, line: number) => `${set}/${stemOf(path)}/${line}`;

/** Text with something in it, as it stands. */
export const text = z.string().refine((value) => value.trim() !== '', { error: 'expected text, got none' });

/** Text, or a number as its shortest text: 36.0 is `36`. */
export const textOrNumber = z.union([text, z.number().transform(String)], { error: 'expected text or a number' });
