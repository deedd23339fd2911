import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { lockFolder } from './lock.js';
import { changedKeys, openRunFolder } from './runFolder.js';
import { temporaryFolder } from './test/tools.js';

const folder = temporaryFolder();
afterAll(folder.remove);

const engine = { name: 'wasm', backend: 'wasm', tried: [] } as const;
const config = {
  model: join(folder.path, 'model'),
  steps: 3,
  data: { kind: 'arithmetic', train: 5 },
  workers: 1,
  name: undefined,
};
const open = (name: string, changes: object = {}, overwrite = false) =>
  openRunFolder({
    directory: join(folder.path, name),
    config: { ...config, ...changes },
    command: ['train'],
    overwrite,
    engine,
  });

test('holds the configuration with paths relative to it, and what it ran with', async () => {
  const run = await open('new');
  expect(run.resumed).toBe(false);
  run.release();
  expect(parse(readFileSync(join(run.directory, 'config.yaml'), 'utf8'))).toEqual({
    model: '../model',
    steps: 3,
    data: { kind: 'arithmetic', train: 5 },
    workers: 1,
  });
  const record = JSON.parse(readFileSync(join(run.directory, 'run.json'), 'utf8'));
  expect(record.versions).toMatchObject({ node: process.versions.node, 'soft-tokens': expect.any(String) });
  expect(record.sessions).toMatchObject([{ command: 'train', engine: 'wasm' }]);
});

test('the same configuration goes on; how many processes work, and what they compute again, is no difference', async () => {
  (await open('same')).release();
  const again = await open('same', { workers: 2, recompute: true });
  again.release();
  expect(again.resumed).toBe(true);
  expect(JSON.parse(readFileSync(join(again.directory, 'run.json'), 'utf8')).sessions).toHaveLength(2);
});

test('a run from before a key existed goes on with its default, and with no other value', async () => {
  (await open('older')).release();
  writeFileSync(join(folder.path, 'older', 'metrics.jsonl'), '');
  const complete = (stored: unknown) => ({ advantage: 'leaveOneOut', ...(stored as object) });
  const newer = (advantage: string) =>
    openRunFolder({
      directory: join(folder.path, 'older'),
      config: { ...config, advantage },
      complete,
      command: ['train'],
      overwrite: false,
      engine,
    });
  const again = await newer('leaveOneOut');
  again.release();
  expect(again.resumed).toBe(true);
  await expect(newer('standardized')).rejects.toThrow('got other values of advantage');
});

test('a run that failed before its first result is not in the way of another configuration', async () => {
  (await open('failed')).release();
  const next = await open('failed', { steps: 4 });
  next.release();
  expect(next.resumed).toBe(false);
  expect(parse(readFileSync(join(next.directory, 'config.yaml'), 'utf8')).steps).toBe(4);
});

test('another configuration is refused by its keys, or replaces the run', async () => {
  const first = await open('other');
  writeFileSync(join(first.directory, 'table.txt'), '');
  first.release();
  await expect(open('other', { steps: 4, data: { kind: 'arithmetic', train: 6 } })).rejects.toThrow(
    /other values of steps, data\.train; choose another folder with --run-dir, or discard this one with --overwrite$/,
  );
  expect(existsSync(join(first.directory, 'table.txt'))).toBe(true);
  const replaced = await open('other', { steps: 4 }, true);
  replaced.release();
  expect(replaced.resumed).toBe(false);
  expect(readdirSync(replaced.directory).sort()).toEqual(['config.yaml', 'run.json']);
});

test('overwriting removes only what a run writes', async () => {
  const first = await open('mixed');
  writeFileSync(join(first.directory, 'thesis.tex'), '');
  first.release();
  await expect(open('mixed', { steps: 4 }, true)).rejects.toThrow(/got thesis\.tex; move that away/);
  expect(readdirSync(first.directory).sort()).toEqual(['config.yaml', 'run.json', 'thesis.tex']);
});

test('a folder that is no run is left alone', async () => {
  for (const [name, record] of Object.entries({ garbled: '{', other: '{"engine": 1}' })) {
    const project = join(folder.path, `project-${name}`);
    mkdirSync(project);
    writeFileSync(join(project, 'config.yaml'), 'steps: 9');
    writeFileSync(join(project, 'run.json'), record);
    await expect(open(`project-${name}`, {}, true)).rejects.toThrow(/expected a new folder or one of a run/);
    expect(readdirSync(project)).toHaveLength(2);
  }
  mkdirSync(join(folder.path, 'home'));
  writeFileSync(join(folder.path, 'home', 'thesis.tex'), '');
  await expect(open('home', {}, true)).rejects.toThrow(/expected a new folder or one of a run/);
  expect(readdirSync(join(folder.path, 'home'))).toEqual(['thesis.tex']);
});

test('one run at a time', async () => {
  const directory = join(folder.path, 'busy');
  mkdirSync(directory);
  writeFileSync(join(directory, '.lock.json'), JSON.stringify([process.ppid]));
  await expect(lockFolder(directory)).rejects.toThrow(`in use by process ${process.ppid}`);
  // The run is gone (no process has this id), but a process of it still writes.
  writeFileSync(join(directory, '.lock.json'), JSON.stringify([2 ** 22 + 1, process.ppid]));
  await expect(lockFolder(directory, 100)).rejects.toThrow('of a run that was killed to end');
  writeFileSync(join(directory, '.lock.json'), JSON.stringify([2 ** 22 + 1]));
  (await lockFolder(directory)).release();
  expect(existsSync(join(directory, '.lock.json'))).toBe(false);
});

test('changed keys', () => {
  expect(changedKeys({ a: { b: 1, c: [1] }, d: 2 }, { a: { b: 1, c: [2] }, e: 2 })).toEqual(['a.c', 'd', 'e']);
  expect(changedKeys({ a: 1 }, { a: { b: 1 } })).toEqual(['a']);
});
