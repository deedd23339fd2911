import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeDirectory } from './files.js';

let root: string;
const target = () => join(root, 'deep', 'model');
const put = (text: string) => (directory: string) => writeFile(join(directory, text), text);

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'files-'));
});
afterEach(() => rm(root, { recursive: true }));

test('a directory is there when it is whole, and takes the place of one that was', async () => {
  await writeDirectory(target(), async (fresh) => {
    await put('one')(fresh);
    expect(await readdir(join(root, 'deep'))).not.toContain('model');
  });
  expect(await readdir(target())).toEqual(['one']);
  await writeDirectory(target(), put('two'));
  expect(await readdir(target())).toEqual(['two']);
  expect(await readdir(join(root, 'deep'))).toEqual(['model']);
});

test('what fails leaves what was there, and nothing beside it', async () => {
  await mkdir(target(), { recursive: true });
  await put('one')(target());
  const half = async (fresh: string) => {
    await put('two')(fresh);
    throw new Error('no room');
  };
  await expect(writeDirectory(target(), half)).rejects.toThrow('no room');
  // Nothing to rename: as when the second of the two renames fails.
  await expect(writeDirectory(target(), (fresh) => rm(fresh, { recursive: true }))).rejects.toThrow('ENOENT');
  expect(await readdir(join(root, 'deep'))).toEqual(['model']);
  expect(await readFile(join(target(), 'one'), 'utf8')).toBe('one');
});
