// What a run writes to read again: logs of one JSON object a line, and results of one JSON value.
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { display } from './config/paths.js';
import { CliError, isMissing } from './errors.js';

/** A log that is being written. Lines reach the system at once; `sync` makes them outlive a power cut. */
export interface LineWriter {
  append(record: object): void;
  sync(): void;
  close(): void;
}

/** Opens a log at its end, and makes its directory. */
function openLines(file: string): LineWriter {
  mkdirSync(dirname(file), { recursive: true });
  const handle = openSync(file, 'a');
  return {
    append: (record) => void writeSync(handle, `${JSON.stringify(record)}\n`),
    sync: () => fsyncSync(handle),
    close: () => closeSync(handle),
  };
}

/**
 * The records of a log; none where there is no file. A last line that a kill cut short is left out.
 *
 * @throws CliError naming file:line where another one is damaged.
 */
export async function readLines<T>(file: string): Promise<T[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const whole = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
  return whole.map((line, i) =>
    parsed<T>(line, `${display(file)}:${i + 1}`, 'mend the line, or begin anew with --overwrite'),
  );
}

/**
 * What a task of ours wrote as one JSON value; undefined where there is no such file.
 *
 * @throws CliError where the file is damaged.
 */
export async function readResult<T>(file: string): Promise<T | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    return parsed<T>(text, display(file), 'remove the file, and the same command makes it again');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function parsed<T>(text: string, where: string, cure: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    const got = (error as Error).message;
    throw new CliError(`${where}: expected JSON as soft-tokens wrote it, got ${got}; ${cure}`, 1, { cause: error });
  }
}

/**
 * Opens a log to go on with it: the records that are there, and a writer behind them. What is not to be kept is dropped,
 * at once or not at all, and so is a last line that a kill cut short.
 */
export async function openRecords<T>(
  file: string,
  keep: (record: T) => boolean = () => true,
): Promise<{ records: T[]; writer: LineWriter }> {
  const records = (await readLines<T>(file)).filter(keep);
  if (existsSync(file)) await writeFileAtomic(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return { records, writer: openLines(file) };
}

/** Opens a log of steps for a run that goes on after `step`: later records are dropped, because their steps happen again. */
export async function openStepLines(file: string, step: number): Promise<LineWriter> {
  return (await openRecords<{ step: number }>(file, (record) => record.step <= step)).writer;
}
