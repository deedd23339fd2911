import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { ZodType } from 'zod';

/** A value with the line it stood on, from 1. */
export interface Line<T> {
  readonly line: number;
  readonly value: T;
}

/** Decompressed text may be this long: what one string holds in Node 20. */
const longest = 2 ** 29 - 24;

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code;

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const found = { ENOENT: 'nothing there', EISDIR: 'a directory', EACCES: 'no permission to read it' }[
      codeOf(error)!
    ];
    const what = found ?? reasonOf(error);
    throw new Error(`${path}: expected a file of JSON lines, got ${what}; check the path`, { cause: error });
  }
}

/** By content: gzip starts with 1f 8b, which no UTF-8 text does. */
const isGzip = (bytes: Buffer) => bytes[0] === 0x1f && bytes[1] === 0x8b;

function decompress(path: string, bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: longest });
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') {
      throw new Error(`${path}: expected at most ${longest} bytes of text, got more; split the file`, { cause: error });
    }
    throw new Error(
      `${path}: expected a whole gzip file, got a damaged or truncated one (${reasonOf(error)}); copy or download it again`,
      { cause: error },
    );
  }
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error(`${path}: expected UTF-8 text, got other bytes; convert the file`, { cause: error });
  }
}

const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}...` : text);

function parseLine<T>(place: string, text: string, schema: ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const got = JSON.stringify(shortened(text));
    throw new Error(`${place}: expected a JSON value, got ${got} (${reasonOf(error)})`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const complaints = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the row'}: ${message}`);
  throw new Error(`${place}: ${complaints.join('; ')}; got ${shortened(JSON.stringify(json))}`);
}

/**
 * Reads a file of JSON lines, plain or gzip (told apart by content, not by name), and checks every row.
 *
 * The file is read whole. Lines of only white space are passed over but counted, so line numbers are an editor's.
 *
 * - `schema`: a zod schema of one row; its transformations apply
 *
 * Throws Error naming the path for a file that is missing, a directory, empty, not UTF-8, or gzip that is truncated or
 * damaged; and naming path:line for a line that is not JSON or does not fit the schema.
 *
 * @example readJsonLines('rows.jsonl.gz', z.object({ n: z.number() })) // [{ line: 1, value: { n: 1 } }]
 */
export function readJsonLines<T>(path: string, schema: ZodType<T>): Line<T>[] {
  const bytes = readBytes(path);
  const text = decode(path, isGzip(bytes) ? decompress(path, bytes) : bytes);
  const lines: Line<T>[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    lines.push({ line: i + 1, value: parseLine(`${path}:${i + 1}`, line, schema) });
  }
  if (lines.length === 0) throw new Error(`${path}: expected at least one row, got an empty file`);
  return lines;
}

/** `train` for `/data/train.jsonl.gz`: the start of the ids of what was read from a file. */
export function stemOf(path: string): string {
  return path.replace(/^.*[/\\]/, '').replace(/(\.jsonl?|\.gz)+$/, '');
}
