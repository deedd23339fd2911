import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeFileAtomic } from './files.js';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'soft-tokens-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('writeFileAtomic', () => {
  test('writes text, bytes and chunks, and replaces what was there', async () => {
    const file = join(directory, 'a.txt');
    await writeFileAtomic(file, 'first, and longer');
    expect(await readFile(file, 'utf8')).toBe('first, and longer');
    await writeFileAtomic(file, Uint8Array.of(104, 105));
    expect(await readFile(file, 'utf8')).toBe('hi');
    await writeFileAtomic(file, [Uint8Array.of(97), Uint8Array.of(), Uint8Array.of(98, 99)]);
    expect(await readFile(file, 'utf8')).toBe('abc');
    expect(await readdir(directory)).toEqual(['a.txt']);
  });

  test('the old content is there until the new is whole', async () => {
    const file = join(directory, 'a.txt');
    await writeFile(file, 'old');
    let seen = '';
    await writeFileAtomic(
      file,
      (async function* () {
        yield Buffer.from('ne');
        seen = await readFile(file, 'utf8');
        yield Buffer.from('w');
      })(),
    );
    expect(seen).toBe('old');
    expect(await readFile(file, 'utf8')).toBe('new');
  });

  test('a failure in the middle leaves the old content and nothing else', async () => {
    const file = join(directory, 'a.txt');
    await writeFile(file, 'old');
    const failing = (function* () {
      yield Buffer.from('ne');
      throw new RangeError('no more');
    })();
    await expect(writeFileAtomic(file, failing)).rejects.toThrow(new RangeError('no more'));
    expect(await readFile(file, 'utf8')).toBe('old');
    expect(await readdir(directory)).toEqual(['a.txt']);
  });

  test('a failure of the disk names the file, and cleans up', async () => {
    const missing = join(directory, 'none', 'a.txt');
    await expect(writeFileAtomic(missing, 'x')).rejects.toThrow(
      `writeFileAtomic: expected to write ${missing}, got ENOENT`,
    );
    const taken = join(directory, 'taken'); // a directory cannot be replaced by a file
    await mkdir(taken);
    await writeFile(join(taken, 'inside'), '');
    await expect(writeFileAtomic(taken, 'x')).rejects.toThrow(`expected to write ${taken}`);
    expect(await readdir(directory)).toEqual(['taken']);
  });

  test('writers of one file do not mix', async () => {
    const file = join(directory, 'a.txt');
    const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await Promise.all(texts.map((text) => writeFileAtomic(file, text)));
    expect(texts).toContain(await readFile(file, 'utf8'));
    expect(await readdir(directory)).toEqual(['a.txt']);
  });
});
