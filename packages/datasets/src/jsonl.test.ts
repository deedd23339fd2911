import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readJsonLines, stemOf } from './jsonl.js';

const folder = mkdtempSync(join(tmpdir(), 'jsonl-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function file(content: string | Buffer): string {
  const path = join(folder, `${++files}.jsonl`);
  writeFileSync(path, content);
  return path;
}

const row = z.object({ n: z.number() });

describe('readJsonLines', () => {
  test('plain, with a byte-order mark, Windows line ends, blank lines and no last line end', () => {
    expect(readJsonLines(file('\uFEFF{"n":1}\r\n\r\n  \n{"n":2}'), row)).toEqual([
      { line: 1, value: { n: 1 } },
      { line: 4, value: { n: 2 } },
    ]);
  });

  test('gzip by content, whatever the name', () => {
    expect(readJsonLines(file(gzipSync('{"n":1}\n')), row)).toEqual([{ line: 1, value: { n: 1 } }]);
  });

  test('transformations of the schema apply', () => {
    const doubled = z.object({ n: z.number() }).transform(({ n }) => 2 * n);
    expect(readJsonLines(file('{"n":4}'), doubled)).toEqual([{ line: 1, value: 8 }]);
  });

  const whole = gzipSync('{"n":1}\n'.repeat(1000));
  const flipped = Buffer.from(whole);
  flipped[20]! ^= 0xff;
  test.each([
    ['not JSON', file('{"n":1}\n{"n":'), /\d+\.jsonl:2: expected a JSON value, got "\{\\"n\\":"/],
    ['a wrong field', file('{"n":1}\n\n{"n":"1"}'), /:3: n: .*expected number.*; got \{"n":"1"\}$/],
    ['no object', file('5'), /:1: the row: .*expected object/],
    ['truncated gzip', file(whole.subarray(0, -9)), /whole gzip file, got a damaged or truncated one .*again$/],
    ['damaged gzip', file(flipped), /damaged or truncated/],
    ['an empty file', file(''), /expected at least one row, got an empty file/],
    ['blank lines only', file('\n \n'), /empty file/],
    ['empty gzip', file(gzipSync('')), /empty file/],
    ['no UTF-8', file(Buffer.from([0x22, 0xff, 0x22])), /expected UTF-8/],
    ['a missing file', join(folder, 'none.jsonl'), /none\.jsonl: expected a file of JSON lines, got nothing there/],
    ['a directory', folder, /got a directory/],
  ])('%s is an error that says where', (_, path, message) => {
    expect(() => readJsonLines(path, row)).toThrow(message);
    expect(() => readJsonLines(path, row)).toThrow(path);
  });
});

test('stemOf', () => {
  expect(stemOf('/data/train.jsonl.gz')).toBe('train');
  expect(stemOf('a\\test.public.jsonl')).toBe('test.public');
  expect(stemOf('rows')).toBe('rows');
});
