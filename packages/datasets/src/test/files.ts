// Files for tests: real rows in __fixtures__, and rows that a test makes.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'datasets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file of this test's own folder, written anew. */
export function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** JSON lines of these rows. */
export function rowsFile(...rows: unknown[]): string {
  return file('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
}

export const fixture = (name: string) => fileURLToPath(new URL(`../__fixtures__/${name}`, import.meta.url));

/** The rows of a fixture, to change one. */
export function fixtureRows(name: string): Record<string, unknown>[] {
  return readFileSync(fixture(name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const shared = fileURLToPath(new URL('../../../../../shared/data/', import.meta.url));

/** A whole set, where it lies beside the repository: for tests that are skipped elsewhere. */
export const wholeSet = (path: string) => ({ path: join(shared, path), absent: !existsSync(join(shared, path)) });
