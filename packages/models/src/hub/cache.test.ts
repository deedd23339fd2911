import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cachedData, cachedModel, resolveModel } from './cache.js';

let root: string;
const at = (...path: string[]) => join(root, ...path);
const commit = 'c'.repeat(40);
const other = 'd'.repeat(40);
const inCache = {
  get cacheDirectory() {
    return at('cache');
  },
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hub-cache-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, content = ''): string {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content);
  return at(path);
}

/** A snapshot with these files. */
function snapshot(files: string[], { of = commit, ref = 'main' } = {}): string {
  for (const file of files) write(`cache/models--a--b/snapshots/${of}/${file}`);
  write(`cache/models--a--b/refs/${ref}`, of);
  return at('cache/models--a--b/snapshots', of);
}

test('a whole snapshot by branch, tag, pull request and commit', async () => {
  const directory = snapshot(['config.json', 'model.safetensors']);
  const tagged = snapshot(['config.json', 'model.safetensors'], { of: other, ref: 'refs/pr/1' });
  expect(await cachedModel('a/b', inCache)).toBe(directory);
  expect(await cachedModel('a/b@refs/pr/1', inCache)).toBe(tagged);
  expect(await cachedModel(`a/b@${commit}`, inCache)).toBe(directory);
  await expect(cachedModel('a/b@v2', inCache)).rejects.toThrow(
    /^a\/b@v2: expected a model in the cache, got none of that name in .*cache; soft-tokens pull a\/b@v2 fetches it$/,
  );
  await expect(cachedModel('a/c', inCache)).rejects.toThrow('soft-tokens pull a/c fetches it');
});

test('a part of a snapshot is not a model; what is missing is named', async () => {
  const directory = snapshot(['tokenizer.json']);
  const missing = (file: string) =>
    expect(cachedModel('a/b', inCache)).rejects.toThrow(`got ${directory} without ${file}; soft-tokens pull a/b`);
  await missing('config.json');
  snapshot(['config.json']);
  await missing('model.safetensors');
  const map = { x: 'model-00001-of-00002.safetensors', y: 'model-00002-of-00002.safetensors' };
  write(`cache/models--a--b/snapshots/${commit}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
  await missing(map.x);
  snapshot([map.x]);
  // A link to a blob that was removed is no file.
  symlinkSync('../../blobs/none', join(directory, map.y));
  await missing(map.y);
  write(`cache/models--a--b/blobs/none`);
  expect(await cachedModel('a/b', inCache)).toBe(directory);
});

test('an index or a reference that leads out is an error', async () => {
  snapshot(['config.json']);
  const index = `cache/models--a--b/snapshots/${commit}/model.safetensors.index.json`;
  for (const shard of ['../../x.safetensors', '/x.safetensors', 'a\\x.safetensors', 'x.bin', 3, null]) {
    write(index, JSON.stringify({ weight_map: { x: shard } }));
    await expect(cachedModel('a/b', inCache)).rejects.toThrow(
      'expected the name of a .safetensors file in the same directory, got',
    );
  }
  const deep = `{"weight_map": ${'['.repeat(2e5)}${']'.repeat(2e5)}}`;
  const twice = '{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}';
  for (const text of ['{', 'null', '[]', '{}', '{"weight_map": [1]}', deep, twice]) {
    write(index, text);
    await expect(cachedModel('a/b', inCache)).rejects.toThrow(`${index}: `);
  }
  write('cache/models--a--b/refs/main', '../../../x');
  await expect(cachedModel('a/b', inCache)).rejects.toThrow('expected the 40 hexadecimal digits of a commit');
});

test('GGUF files: the one, or the one that is named', async () => {
  const directory = snapshot(['x.gguf']);
  expect(await cachedModel('a/b', inCache)).toBe(join(directory, 'x.gguf'));
  snapshot(['y.gguf']);
  await expect(cachedModel('a/b', inCache)).rejects.toThrow(
    'a/b: expected one GGUF file, got x.gguf, y.gguf; say which: a/b:x.gguf',
  );
  expect(await cachedModel('a/b:y.gguf', inCache)).toBe(join(directory, 'y.gguf'));
  await expect(cachedModel('a/b:z.gguf', inCache)).rejects.toThrow('without z.gguf; soft-tokens pull a/b:z.gguf');
});

test('a file of a data set, by branch and commit; what is missing is named', async () => {
  const set = 'cache/datasets--a--b';
  const path = write(`${set}/snapshots/${commit}/main/x.parquet`);
  const cached = (name: string) => cachedData(name, inCache);
  const fetches = (name: string) => new RegExp(`; soft-tokens pull ${name} fetches it$`);
  await expect(cached('hf://datasets/a/b/main/x.parquet')).rejects.toThrow(
    /^hf:\/\/datasets\/a\/b\/main\/x\.parquet: expected a file in the cache, got none of that name in .*cache; soft-tokens/,
  );
  write(`${set}/refs/main`, commit);
  write(`${set}/refs/feature/new`, commit);
  for (const at of ['', `@${commit}`, '@main', '@feature%2Fnew']) {
    expect(await cached(`hf://datasets/a/b${at}/main/x.parquet`)).toBe(path);
  }
  for (const name of ['hf://datasets/a/b@v2/main/x.parquet', 'hf://datasets/a/b/main']) {
    await expect(cached(name)).rejects.toThrow(fetches(name));
  }
  await expect(cached('hf://datasets/a/b/y.jsonl')).rejects.toThrow(
    /expected the file .* without y\.jsonl; soft-tokens/,
  );
  await expect(cached('hf://datasets/a/b')).rejects.toThrow(
    'expected the name of a file, got that of a data set; soft-tokens pull hf://datasets/a/b lists them',
  );
  // A model of the same name is another repository.
  await expect(cachedModel('a/b', inCache)).rejects.toThrow('got none of that name');
  await expect(cachedModel('hf://datasets/a/b/main/x.parquet', inCache)).rejects.toThrow('the name of a model');
});

test('resolveModel: a directory, a GGUF file, a name; what is there as a path wins', async () => {
  const cached = snapshot(['config.json', 'model.safetensors']);
  const resolved = (name: string) => resolveModel(name, { from: root, ...inCache });
  expect(await resolved('a/b')).toBe(cached);
  write('a/b/config.json');
  expect(await resolved('a/b')).toBe(at('a/b'));
  expect(await resolved(at('a/b'))).toBe(at('a/b'));
  expect(await resolved('a/b@main')).toBe(cached);
  expect(await resolveModel(at('a/b'))).toBe(at('a/b'));
  const gguf = write('x/y.gguf');
  expect(await resolved('x/y.gguf')).toBe(gguf);

  const fails = (name: string, message: string | RegExp) => expect(resolved(name)).rejects.toThrow(message);
  await fails('x', /x: expected a Hugging Face model directory with config.json, got one without$/);
  await fails('none', /none: expected .*, a .gguf file or ORG\/NAME, got no such directory$/);
  await fails('x/none.gguf', /x\/none.gguf: expected .* got no such directory$/); // a path, not a name
  write('x/y.bin');
  await fails('x/y.bin', 'got a file of another kind');
  await fails('c/d', 'c/d: expected a model directory, or a model in the cache, got none of that name');
  for (const name of ['a/b\0', '', '../../none', 'x/y.gguf/z', 'n'.repeat(5000)]) await fails(name, 'expected');
});
