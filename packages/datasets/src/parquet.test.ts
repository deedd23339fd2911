// Parquet as pyarrow writes it, and with it the hub's data sets.
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readArc } from './arc.js';
import { readGsm8k } from './gsm8k.js';
import { readHellaswag } from './hellaswag.js';
import { readMmlu } from './mmlu.js';
import { readRows } from './rows.js';
import { fixture, fixtureRows } from './test/files.js';

describe('every codec of pyarrow, in both versions of data pages', () => {
  const rows = fixtureRows('parquet/rows.jsonl');
  const codecs = ['none', 'snappy', 'gzip', 'brotli', 'lz4', 'zstd'];
  test.each(codecs.flatMap((codec) => [`${codec}-1`, `${codec}-2`]))('%s', async (name) => {
    const read = await readRows(fixture(`parquet/${name}.parquet`), z.unknown());
    expect(read.map(({ value }) => value)).toEqual(rows);
  });
});

describe('sets in the columns that they have on the hub', () => {
  test.each([
    ['gsm8k', readGsm8k],
    ['hellaswag', readHellaswag],
    ['mmlu', readMmlu],
  ])('%s: as from its own format', async (name, read: (path: string) => Promise<unknown[]>) => {
    const items = await read(fixture(`parquet/${name}.parquet`));
    expect(items).toEqual(await read(fixture(`${name}.jsonl`)));
    expect(items.length).toBeGreaterThan(0);
  });

  test('arc', async () => {
    const choices = ['one', 'two', 'three', 'four'];
    expect(await readArc(fixture('parquet/arc.parquet'))).toEqual(
      [0, 1, 2].map((i) => ({ id: `arc/Mercury_${i}`, context: `Question ${i}?`, choices, correct: i })),
    );
  });
});
