// A file of rows, whatever its format, to what stands in each row; nothing of what a row should hold is known here.
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** A row before it is checked. */
export interface RawRow {
  /** From 1: the line of JSON lines, the row of the others. */
  readonly line: number;
  /** @throws Error for a line that is not JSON. */
  read(): unknown;
}

/** Decompressed text may be this long: what one string holds in Node 20. */
const longest = 2 ** 29 - 24;

export const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code;
export const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}...` : text);

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const found = { ENOENT: 'nothing there', EISDIR: 'a directory', EACCES: 'no permission to read it' }[
      codeOf(error)!
    ];
    const what = found ?? reasonOf(error);
    throw new Error(`${path}: expected a file of rows, got ${what}; check the path`, { cause: error });
  }
}

/** By content: gzip starts with 1f 8b, which no UTF-8 text does. */
const isGzip = (bytes: Buffer) => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** By content: a Parquet file starts with these four letters, which no JSON does. */
const isParquet = (bytes: Buffer) => bytes.subarray(0, 4).toString('latin1') === 'PAR1';

const damaged = (path: string, format: string, error: unknown) =>
  new Error(
    `${path}: expected a whole ${format} file, got a damaged or truncated one (${reasonOf(error)}); ` +
      'copy or download it again',
    { cause: error },
  );

function decompress(path: string, bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: longest });
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') {
      throw new Error(`${path}: expected at most ${longest} bytes of text, got more; split the file`, { cause: error });
    }
    throw damaged(path, 'gzip', error);
  }
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error(`${path}: expected UTF-8 text, got other bytes; convert the file`, { cause: error });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const got = JSON.stringify(shortened(text));
    throw new Error(`expected a JSON value, got ${got} (${reasonOf(error)})`, { cause: error });
  }
}

const rowsOf = (values: readonly unknown[]): RawRow[] => values.map((value, i) => ({ line: i + 1, read: () => value }));

/** One array of all rows, as some sets are published, or a row a line. No loader's row is itself an array. */
function textRows(path: string, text: string): RawRow[] {
  if (/^\s*\[/.test(text)) {
    try {
      return rowsOf(parseJson(text) as unknown[]);
    } catch (error) {
      throw new Error(`${path}: ${reasonOf(error)}`, { cause: error });
    }
  }
  return text.split('\n').flatMap((line, i) => {
    return line.trim() === '' ? [] : [{ line: i + 1, read: () => parseJson(line) }];
  });
}

/** Parquet's 64-bit integers as numbers where those are exact, as JSON has them; as text where not. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

async function parquetRows(path: string, bytes: Buffer): Promise<RawRow[]> {
  try {
    const file = Uint8Array.from(bytes).buffer;
    return rowsOf((await parquetReadObjects({ file, compressors })).map(plain));
  } catch (error) {
    throw damaged(path, 'Parquet', error);
  }
}

/**
 * The rows of a file: JSON lines, one JSON array, either of them gzip, or Parquet; told apart by content, not by name.
 *
 * The file is read whole. Lines of only white space are passed over but counted, so line numbers are an editor's.
 *
 * @throws Error naming the path for a file that is missing, a directory, empty, not UTF-8, truncated or damaged.
 */
export async function rawRows(path: string): Promise<RawRow[]> {
  const bytes = await readBytes(path);
  const rows = isParquet(bytes)
    ? await parquetRows(path, bytes)
    : textRows(path, decode(path, isGzip(bytes) ? decompress(path, bytes) : bytes));
  if (rows.length === 0) throw new Error(`${path}: expected at least one row, got an empty file`);
  return rows;
}

/** `train` for `/data/train.jsonl.gz`: the start of the ids of what was read from a file. */
export function stemOf(path: string): string {
  return path.replace(/^.*[/\\]/, '').replace(/(\.jsonl?|\.gz|\.parquet)+$/, '');
}
