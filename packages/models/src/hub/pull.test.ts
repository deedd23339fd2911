import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  brokenAfter,
  commit,
  config,
  contents,
  everyFile,
  failure,
  hub,
  options,
  pull,
  repository,
  root,
  sharded,
  shards,
  small,
  text,
  weights,
  whole,
} from '../test/pulling.js';
import { cachedModel } from './cache.js';
import type { PullProgress } from './pull.js';

// Waits are noted, not waited.
const waits = vi.hoisted(() => [] as number[]);
vi.mock('node:timers/promises', () => ({ setTimeout: async (ms: number) => void waits.push(ms) }));
beforeEach(() => {
  waits.length = 0;
});

describe('what is pulled', () => {
  test('the files of a model and no others, linked as Python links them', async () => {
    const seen: PullProgress[] = [];
    const { path, fetchedBytes } = await pull('org/name', { onProgress: (progress) => seen.push(progress) });
    expect(path).toBe(join(repository(), 'snapshots', commit));
    expect(readdirSync(path).sort()).toEqual([...Object.keys(small), 'model.safetensors'].sort());
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readFileSync(join(repository(), 'refs', 'main'), 'utf8')).toBe(commit);
    // The blob of a small file is called by git's hash, `git hash-object --stdin <<< ""` of an empty one.
    const link = readlinkSync(join(path, 'generation_config.json'));
    expect(link).toBe('../../blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391');
    expect(readdirSync(join(repository(), 'blobs')).filter((name) => name.includes('.'))).toEqual([]);
    const total = [...Object.values(small), weights].reduce((sum, { length }) => sum + length, 0);
    expect(fetchedBytes).toBe(total);
    expect(seen.at(-1)).toEqual({
      file: 'model.safetensors',
      totalBytes: total,
      doneBytes: total,
      fetchedBytes: total,
    });
    expect(await cachedModel('org/name', options())).toBe(path);
  });

  test('nothing twice; a new commit fetches what changed, and main moves', async () => {
    const first = await pull();
    hub.requests.length = 0;
    expect(await pull()).toEqual({ path: first.path, fetchedBytes: 0 });
    expect(contents()).toEqual([]);
    const next = 'f'.repeat(40);
    const files = { ...whole.files, 'tokenizer.json': text({ version: 2 }) };
    hub.models['org/name'] = { files, commits: { main: next } };
    const { path, fetchedBytes } = await pull();
    expect([path, fetchedBytes]).toEqual([join(repository(), 'snapshots', next), 13]);
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
    expect(await cachedModel(`org/name@${commit}`, options())).toBe(first.path);
  });

  test('shards that the index names', async () => {
    hub.models['org/name'] = sharded;
    const { path } = await pull();
    expect(readdirSync(path)).toEqual(expect.arrayContaining([...shards, 'model.safetensors.index.json']));
    expect(await cachedModel('org/name', options())).toBe(path);
  });

  test('a revision, with a slash in it too, and a commit, which needs no reference', async () => {
    hub.models['org/name'] = { ...whole, commits: { 'refs/pr/1': 'e'.repeat(40) } };
    const { path } = await pull('org/name@refs/pr/1');
    expect(path).toBe(join(repository(), 'snapshots', 'e'.repeat(40)));
    expect(await cachedModel('org/name@refs/pr/1', options())).toBe(path);
    await pull(`org/name@${'b'.repeat(40)}`);
    expect(everyFile().filter((name) => /refs\/./.test(name))).toEqual([
      'cache/models--org--name/refs/refs',
      'cache/models--org--name/refs/refs/pr',
      'cache/models--org--name/refs/refs/pr/1',
    ]);
  });

  test('one GGUF file of several, with a name that an address must encode', async () => {
    const file = 'q 4/it#1?.gguf';
    hub.models['org/name'] = { files: { [file]: weights, 'other.gguf': randomBytes(9), 'config.json': text(config) } };
    const { path } = await pull(`org/name:${file}`);
    expect(path).toBe(join(repository(), 'snapshots', commit, file));
    expect(readlinkSync(path)).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readFileSync(path).equals(weights)).toBe(true);
    expect(await failure('org/name:none.gguf')).toMatch(
      /org\/name:none\.gguf: expected none\.gguf in the repository, got none; GGUF files there: q 4\/it#1\?\.gguf, other\.gguf$/,
    );
    expect(await failure()).toMatch(
      /expected weights as model\.safetensors or its shards, got GGUF files; pull one with --file/,
    );
  });

  test('repositories without what can be read', async () => {
    const { 'model.safetensors': _, ...pickled } = whole.files;
    hub.models['org/name'] = { files: pickled };
    expect(await failure()).toMatch(/or its shards, got pytorch_model\.bin; such files can run code .* convert them/);
    hub.models['org/name'] = { files: { 'README.md': Buffer.from('x') } };
    expect(await failure()).toMatch(/got neither; is it a model\?$/);
    hub.models['org/name'] = { files: { 'model.safetensors': weights } };
    expect(await failure()).toContain('expected config.json in the repository, got none');
    hub.models['org/name'] = { files: { ...sharded.files, [shards[1]]: undefined as never } };
    delete hub.models['org/name'].files[shards[1]];
    expect(await failure()).toContain(
      `expected ${shards[1]} in the repository, got none; model.safetensors.index.json`,
    );
    hub.models['org/name'] = { files: { ...whole.files, 'config.json': text({ model_type: 'mamba' }) } };
    expect(await failure()).toMatch(/config\.json: model_type: expected .*mamba/);
    expect(existsSync(join(repository(), 'refs'))).toBe(false);
  });
});

describe('going on', () => {
  test('a broken connection: the rest by range, in the same pull', async () => {
    let broken = 0;
    hub.instead = ({ server, range }, response) =>
      server === 'cdn' && range !== 'bytes=0-0' && broken++ < 1 && brokenAfter(response, 100_000);
    const { path, fetchedBytes } = await pull();
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
    const ranges = contents()
      .filter(({ server }) => server === 'cdn')
      .map(({ range }) => range);
    expect(ranges).toEqual([undefined, 'bytes=100000-']);
    expect(fetchedBytes).toBeGreaterThanOrEqual(weights.length);
    expect(waits).toEqual([500]);
  });

  test('an interrupted pull: what came stays, is not called by its name, and is gone on with', async () => {
    const controller = new AbortController();
    const reason = new Error('interrupted');
    hub.instead = ({ server, range }, response) => {
      if (server !== 'cdn' || range === 'bytes=0-0') return false;
      response.writeHead(200, { 'content-length': weights.length });
      response.write(weights.subarray(0, 70_000), () => setTimeout(() => controller.abort(reason), 50));
      return true;
    };
    await expect(pull('org/name', { signal: controller.signal })).rejects.toBe(reason);
    const [part] = readdirSync(join(repository(), 'blobs')).filter((name) => name.endsWith('.incomplete'));
    expect(statSync(join(repository(), 'blobs', part!)).size).toBe(70_000);
    expect(existsSync(join(repository(), 'refs'))).toBe(false);
    await expect(cachedModel('org/name', options())).rejects.toThrow('soft-tokens pull org/name');

    hub.instead = undefined;
    hub.requests.length = 0;
    const { path, fetchedBytes } = await pull();
    expect(fetchedBytes).toBe(weights.length - 70_000);
    expect(contents().map(({ range }) => range)).toEqual(['bytes=70000-', 'bytes=70000-']); // redirected
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
  });

  test('a part that was damaged meanwhile is fetched anew; so is one that is too long', async () => {
    const { path } = await pull();
    const etag = readlinkSync(join(path, 'model.safetensors')).split('/').at(-1)!;
    for (const part of [randomBytes(50_000), randomBytes(weights.length + 1)]) {
      rmSync(join(repository(), 'blobs', etag));
      writeFileSync(join(repository(), 'blobs', `${etag}.incomplete`), part);
      const seen: PullProgress[] = [];
      await pull('org/name', { onProgress: (progress) => seen.push(progress) });
      expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
      expect(seen.at(-1)!.doneBytes).toBe(seen.at(-1)!.totalBytes);
    }
  });

  test('a blob that was cut is fetched anew', async () => {
    const { path } = await pull();
    writeFileSync(join(path, 'model.safetensors'), 'cut'); // through the link
    expect((await pull()).fetchedBytes).toBe(weights.length);
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
  });

  test('a server that ignores ranges sends it all again', async () => {
    let count = 0;
    hub.instead = ({ server, range }, response) => {
      if (server !== 'cdn' || range === 'bytes=0-0') return false;
      if (count++ === 0) return brokenAfter(response, 100_000);
      response.writeHead(200).end(weights);
      return true;
    };
    const seen: PullProgress[] = [];
    const { path } = await pull('org/name', { onProgress: (progress) => seen.push(progress) });
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
    expect(seen.at(-1)!.doneBytes).toBe(seen.at(-1)!.totalBytes);
  });

  test('two pulls at once do not disturb each other', async () => {
    for (let round = 0; round < 5; round++) {
      const [one, two] = await Promise.all([pull(), pull()]);
      expect(one.path).toBe(two.path);
      expect(readFileSync(join(one.path, 'model.safetensors')).equals(weights)).toBe(true);
      expect(everyFile().filter((name) => name.endsWith('.incomplete'))).toEqual([]);
      rmSync(join(root, 'cache'), { recursive: true });
    }
  });
});

describe('content that is not what the listing says', () => {
  const cdn = (send: (response: import('node:http').ServerResponse) => void) => {
    hub.instead = ({ server, range }, response) => {
      if (server !== 'cdn' || range === 'bytes=0-0') return false;
      send(response);
      return true;
    };
  };
  const nothingKept = () => {
    expect(existsSync(join(repository(), 'refs'))).toBe(false);
    expect(everyFile().filter((name) => /snapshots\/.*safetensors/.test(name))).toEqual([]);
  };

  test('other bytes of the same length: not kept', async () => {
    cdn((response) => response.end(randomBytes(weights.length)));
    expect(await failure()).toMatch(/model\.safetensors: expected content with the hash [0-9a-f]{64}, got another/);
    nothingKept();
    expect(everyFile().filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  test('other bytes of a small file: not kept', async () => {
    hub.instead = ({ url, range }, response) => {
      if (!url.endsWith('/config.json') || range === 'bytes=0-0') return false;
      response.end(text({ ...config, hidden_size: 18 }));
      return true;
    };
    expect(await failure()).toMatch(/config\.json: expected content with the hash [0-9a-f]{40}, got another/);
  });

  test('more bytes than listed: stopped', async () => {
    cdn((response) => response.end(Buffer.concat([weights, Buffer.from('!')])));
    expect(await failure()).toContain(`model.safetensors: expected ${weights.length} bytes, got more`);
    nothingKept();
  });

  test('a body that ends early again and again: given up, gone on with the next time', async () => {
    let ends = 0;
    hub.instead = ({ server, range }, response) => {
      if (server !== 'cdn' || range === 'bytes=0-0') return false;
      response.writeHead(range ? 206 : 200, { 'content-range': `bytes ${range?.slice(6) ?? ''}` });
      response.end(ends++ === 0 ? weights.subarray(0, 1000) : undefined); // without a length
      return true;
    };
    expect(await failure()).toContain(`expected ${weights.length} bytes, got an end after 1000; the same command`);
    expect(waits).toEqual([500, 1000, 2000, 4000]);
    hub.instead = undefined;
    expect((await pull()).fetchedBytes).toBe(weights.length - 1000);
  });

  test('a size of the server that is not the listing’s, and a range that was not asked for', async () => {
    hub.models['org/name'] = { ...whole, lfs: () => false };
    hub.instead = ({ range, url }, response) => {
      if (!url.endsWith('model.safetensors') || range !== 'bytes=0-0') return false;
      response.writeHead(206, { etag: '"x"', 'content-range': 'bytes 0-0/7' }).end('x');
      return true;
    };
    expect(await failure()).toContain(`model.safetensors: expected ${weights.length} bytes as listed, got 7`);
    hub.instead = ({ range, url }, response) => {
      if (!url.endsWith('model.safetensors') || range === 'bytes=0-0') return false;
      response.writeHead(206, { 'content-range': `bytes 5-9/${weights.length}` }).end('12345');
      return true;
    };
    expect(await failure()).toContain('expected bytes from 0 on, got them from 5');
  });
});
