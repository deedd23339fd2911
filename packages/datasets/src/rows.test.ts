import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { stemOf } from './file.js';
import { describeMalformed, type MalformedRow, readItems, readRows } from './rows.js';
import { file as named } from './test/files.js';

let files = 0;
const file = (content: string | Uint8Array) => named(`${++files}.jsonl`, content);

const row = z.object({ n: z.number() });

const parquet = (columnData: Parameters<typeof parquetWriteBuffer>[0]['columnData'], codec?: 'UNCOMPRESSED') =>
  new Uint8Array(parquetWriteBuffer({ columnData, ...(codec && { codec }) }));

describe('readRows', () => {
  test('plain, with a byte-order mark, Windows line ends, blank lines and no last line end', async () => {
    expect(await readRows(file('\uFEFF{"n":1}\r\n\r\n  \n{"n":2}'), row)).toEqual([
      { line: 1, value: { n: 1 } },
      { line: 4, value: { n: 2 } },
    ]);
  });

  test('gzip by content, whatever the name', async () => {
    expect(await readRows(file(gzipSync('{"n":1}\n')), row)).toEqual([{ line: 1, value: { n: 1 } }]);
  });

  test('one JSON array of rows, plain or gzip', async () => {
    const content = '[\n  {"n": 1},\n  {"n": 2}\n]\n';
    const both = [
      { line: 1, value: { n: 1 } },
      { line: 2, value: { n: 2 } },
    ];
    expect(await readRows(file(content), row)).toEqual(both);
    expect(await readRows(file(gzipSync(content)), row)).toEqual(both);
  });

  test('Parquet: texts, numbers, lists, nothing, and 64-bit integers as numbers where exact', async () => {
    const path = file(
      parquet([
        { name: 'text', data: ['é', 'b', null] },
        { name: 'n', data: [1n, 2n ** 53n, -5n], type: 'INT64' },
        { name: 'real', data: [0.5, 36, -1], type: 'DOUBLE' },
        { name: 'list', data: [['a', 'b'], [], ['c']] },
      ]),
    );
    expect((await readRows(path, z.unknown())).map(({ value }) => value)).toEqual([
      { text: 'é', n: 1, real: 0.5, list: ['a', 'b'] },
      { text: 'b', n: '9007199254740992', real: 36, list: [] },
      { text: null, n: -5, real: -1, list: ['c'] },
    ]);
  });

  test('Parquet, compressed or not, of many rows', async () => {
    const data = Array.from({ length: 5000 }, (_, i) => i);
    for (const bytes of [parquet([{ name: 'n', data, type: 'INT32' }]), parquet([{ name: 'n', data }], 'UNCOMPRESSED')])
      expect((await readRows(file(bytes), row)).map(({ value }) => value.n)).toEqual(data);
  });

  test('transformations of the schema apply', async () => {
    const doubled = z.object({ n: z.number() }).transform(({ n }) => 2 * n);
    expect(await readRows(file('{"n":4}'), doubled)).toEqual([{ line: 1, value: 8 }]);
  });

  const whole = gzipSync('{"n":1}\n'.repeat(1000));
  const flipped = Buffer.from(whole);
  flipped[20]! ^= 0xff;
  const table = parquet([{ name: 'n', data: [1, 2, 3], type: 'INT32' }]);
  test.each([
    ['not JSON', file('{"n":1}\n{"n":'), /\d+\.jsonl:2: expected a JSON value, got "\{\\"n\\":"/],
    ['a wrong field', file('{"n":1}\n\n{"n":"1"}'), /:3: n: .*expected number.*; got \{"n":"1"\}\n/],
    ['no object', file('5'), /:1: the row: .*expected object/],
    ['an array that never ends', file('[{"n":1},'), /\.jsonl: expected a JSON value, got "\[/],
    ['a row of an array', file('[{"n":1},{"n":null}]'), /:2: n: .*expected number/],
    ['truncated gzip', file(whole.subarray(0, -9)), /whole gzip file, got a damaged or truncated one .*again$/],
    ['damaged gzip', file(flipped), /damaged or truncated/],
    ['truncated Parquet', file(table.subarray(0, -9)), /whole Parquet file, got a damaged or truncated one .*again$/],
    ['only the start of Parquet', file('PAR1'), /whole Parquet file/],
    ['a row of Parquet', file(parquet([{ name: 'n', data: [1, null] }])), /:2: n: .*expected number/],
    ['an empty file', file(''), /expected at least one row, got an empty file/],
    ['blank lines only', file('\n \n'), /empty file/],
    ['an empty array', file('[]'), /empty file/],
    ['empty gzip', file(gzipSync('')), /empty file/],
    ['no UTF-8', file(Buffer.from([0x22, 0xff, 0x22])), /expected UTF-8/],
    [
      'a missing file',
      join(dirname(file('')), 'none.jsonl'),
      /none\.jsonl: expected a file of rows, got nothing there/,
    ],
    ['a directory', dirname(file('')), /got a directory/],
  ])('%s is an error that says where', async (_, path, message) => {
    await expect(readRows(path, row)).rejects.toThrow(message);
    await expect(readRows(path, row)).rejects.toThrow(path);
  });
});

describe('malformed rows', () => {
  const three = file('{"n":1}\nno\n{"n":"x"}\n{"n":2}\n{}');

  test('all are counted, and stop the reading above the limit', async () => {
    await expect(readRows(three, row)).rejects.toThrow(/expected at most 0 malformed rows, got 3 of 5:\n/);
    const onMalformed = vi.fn();
    await expect(readRows(three, row, { maxMalformed: 2, onMalformed })).rejects.toThrow(/at most 2 .*got 3 of 5/);
    expect(onMalformed).not.toHaveBeenCalled();
  });

  test('within the limit they are left out and told of, once', async () => {
    const told: (readonly MalformedRow[])[] = [];
    const rows = await readRows(three, row, { maxMalformed: 3, onMalformed: (each) => told.push(each) });
    expect(rows.map(({ line }) => line)).toEqual([1, 4]);
    expect(told.map((each) => each.map(({ line }) => line))).toEqual([[2, 3, 5]]);
    expect(told[0]![1]!.message).toMatch(/\.jsonl:3: n: .*expected number/);
  });

  test('nobody is told when there are none', async () => {
    const onMalformed = vi.fn();
    await readRows(file('{"n":1}'), row, { maxMalformed: 1, onMalformed });
    expect(onMalformed).not.toHaveBeenCalled();
  });

  test('the first five are listed', async () => {
    const rows = Array.from({ length: 7 }, (_, i) => ({ line: i + 1, message: `m${i + 1}` }));
    expect(describeMalformed(rows)).toBe('m1\n  m2\n  m3\n  m4\n  m5\n  ... and 2 more');
    expect(describeMalformed(rows.slice(0, 5))).toBe('m1\n  m2\n  m3\n  m4\n  m5');
    await expect(readRows(file('x\n'.repeat(9)), row)).rejects.toThrow(/:5: .*\n {2}\.\.\. and 4 more\nmend them/);
  });

  test.each([-1, 0.5, Number.NaN])('a limit of %d is an error', async (maxMalformed) => {
    await expect(readRows(three, row, { maxMalformed, onMalformed: () => {} })).rejects.toThrow('integer ≥ 0');
  });

  test('a fault of the loader is none of the row', async () => {
    const faulty = () => {
      throw new TypeError('a fault');
    };
    const all = { maxMalformed: 9, onMalformed: () => {} };
    await expect(readItems(three, row, faulty, all)).rejects.toThrow(TypeError);
  });

  test('an id that comes again', async () => {
    const path = file('{"n":1}\n{"n":2}\n{"n":1}');
    const item = ({ n }: { n: number }) => ({ id: `${n}` });
    await expect(readItems(path, row, item)).rejects.toThrow(':3: expected ids that differ, got "1", as on line 1');
    expect(await readItems(path, row, item, { maxMalformed: 1, onMalformed: () => {} })).toHaveLength(2);
  });
});

test('stemOf', () => {
  expect(stemOf('/data/train.jsonl.gz')).toBe('train');
  expect(stemOf('a\\test.public.jsonl')).toBe('test.public');
  expect(stemOf('test-00000-of-00001.parquet')).toBe('test-00000-of-00001');
  expect(stemOf('rows')).toBe('rows');
});
