import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  brokenAfter,
  commit,
  contents,
  dataset,
  everyFile,
  failure,
  fileFailure,
  hub,
  options,
  pull,
  pullFile,
  root,
} from '../test/pulling.js';
import { cachedData } from './cache.js';

// Waits are noted, not waited.
const waits = vi.hoisted(() => [] as number[]);
vi.mock('node:timers/promises', () => ({ setTimeout: async (ms: number) => void waits.push(ms) }));
beforeEach(() => {
  waits.length = 0;
});

const set = 'hf://datasets/org/set';
const file = 'main/test-00000-of-00001.parquet';
const name = `${set}/${file}`;
const content = Buffer.from(dataset.files[file]!);
const repository = () => join(root, 'cache', 'datasets--org--set');

describe('a file of a data set', () => {
  test('and no other, linked as Python links it; nothing twice', async () => {
    const { path, fetchedBytes } = await pullFile(name);
    expect([path, fetchedBytes]).toEqual([join(repository(), 'snapshots', commit, file), content.length]);
    expect(readlinkSync(path)).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(readFileSync(join(repository(), 'refs', 'main'), 'utf8')).toBe(commit);
    expect(readdirSync(join(repository(), 'blobs'))).toHaveLength(1);
    expect(await cachedData(name, options())).toBe(path);
    // Of the listing, the folder of the file alone.
    expect(hub.requests.filter(({ url }) => url.includes('/tree/')).map(({ url }) => url)).toEqual([
      `/api/datasets/org/set/tree/${commit}/main?recursive=true&expand=false`,
    ]);
    hub.requests.length = 0;
    expect(await pullFile(name)).toEqual({ path, fetchedBytes: 0 });
    expect(contents()).toEqual([]);
  });

  test('another beside it, kept by git, and one that a model would read', async () => {
    await pullFile(name);
    const { path } = await pullFile(`${set}/test.jsonl`);
    expect(readFileSync(path, 'utf8')).toBe('{"n": 1}');
    expect(readlinkSync(path)).toMatch(/blobs\/[0-9a-f]{40}$/);
    expect(await cachedData(name, options())).toBe(join(repository(), 'snapshots', commit, file));
    expect(readFileSync((await pullFile(`${set}/config.json`)).path, 'utf8')).toBe('{}');
  });

  test('of other revisions', async () => {
    const [pr, branch] = ['e'.repeat(40), 'f'.repeat(40)];
    hub.datasets['org/set'] = { ...dataset, commits: { 'refs/pr/1': pr, 'feature/new': branch } };
    const inSnapshot = (of: string) => join(repository(), 'snapshots', of, file);
    for (const [revision, of] of [
      ['refs/pr/1', pr],
      ['feature%2Fnew', branch],
      ['b'.repeat(40), 'b'.repeat(40)],
    ] as const) {
      expect((await pullFile(`${set}@${revision}/${file}`)).path).toBe(inSnapshot(of));
      expect(await cachedData(`${set}@${revision}/${file}`, options())).toBe(inSnapshot(of));
    }
    expect(readdirSync(join(repository(), 'blobs'))).toHaveLength(1);
    expect(await fileFailure(`${set}@v9/${file}`)).toMatch(
      /set@v9\/main.*: expected a revision v9, got 404 RevisionNotFound from .*\/datasets\/org\/set\/commits\/main lists/,
    );
  });

  test('with a name that an address must encode', async () => {
    const odd = 'a b/it#1?%20.jsonl';
    hub.datasets['org/set'] = { files: { [odd]: Buffer.from('{}') } };
    expect(readFileSync((await pullFile(`${set}/${odd}`)).path, 'utf8')).toBe('{}');
  });

  test('of a model’s name is not the model', async () => {
    hub.datasets['org/name'] = { files: { 'x.jsonl': Buffer.from('{}') } };
    await pullFile('hf://datasets/org/name/x.jsonl');
    const { path } = await pull();
    expect(path).toBe(join(root, 'cache/models--org--name/snapshots', commit));
    expect(readdirSync(path)).not.toContain('x.jsonl');
    expect(await failure('hf://datasets/org/name/x.jsonl')).toContain('expected the name of a model on the hub');
  });
});

describe('names that are not those of one file: the files there', () => {
  const parquet = 'main/test-00000-of-00001.parquet, main/train-00000-of-00001.parquet';
  test.each([
    [`${set}/main`, `got a folder; files there: ${parquet}`],
    [`${set}/main/*.parquet`, `got none of that name; files there: ${parquet}`],
    [`${set}/main/none.parquet`, `got none of that name; files there: ${parquet}`],
    [set, `got a whole data set; files there: README.md, ${parquet}, test.jsonl, config.json`],
  ])('%s', async (given, message) => {
    expect(await fileFailure(given)).toBe(`${given}: expected the name of one file, ${message}`);
    expect(everyFile()).toEqual([]);
  });

  test('a folder that is not there', async () => {
    expect(await fileFailure(`${set}/none/x.jsonl`)).toMatch(
      /expected the file, got 404 EntryNotFound from .*; .*\/datasets\/org\/set\/tree\/main lists the files$/,
    );
    expect(everyFile()).toEqual([]);
  });
});

describe('refused, and nothing written', () => {
  test('names that lead out, without a request', async () => {
    for (const path of ['../../x', 'a/../../x', '/etc/passwd', 'x\\..\\y', 'x\0']) {
      expect(await fileFailure(`${set}/${path}`)).toContain('expected the name of a file of a data set on the hub');
    }
    expect([hub.requests, everyFile()]).toEqual([[], []]);
  });

  test('a listing that leads out', async () => {
    const listing = [{ type: 'file', path: '../../../evil', size: 1, oid: 'a'.repeat(40) }];
    hub.datasets['org/set'] = { ...dataset, listing };
    expect(await fileFailure(name)).toMatch(/^org\/set: expected a path inside the repository of each file, got .*/);
    expect(everyFile()).toEqual([]);
  });

  test('no such data set, and a gated one: its own page', async () => {
    expect(await fileFailure('hf://datasets/org/none/x')).toMatch(
      /^hf:\/\/datasets\/org\/none\/x: expected access, got 401 RepoNotFound from .*\/api\/datasets\/org\/none\/revision\/main/,
    );
    const answer = (status: number, code: string) => {
      hub.instead = (_, response) => {
        response.writeHead(status, code ? { 'x-error-code': code } : {}).end();
        return true;
      };
    };
    answer(403, 'GatedRepo');
    expect(await fileFailure(name)).toMatch(/accept its licence at http.*\/datasets\/org\/set and set HF_TOKEN/);
    answer(404, '');
    expect(await fileFailure(name)).toMatch(
      /expected a data set, got 404 from .*check the name at .*datasets\/org\/set$/,
    );
  });

  test('other bytes than listed', async () => {
    hub.instead = ({ server, range }, response) => {
      if (server !== 'cdn' || range === 'bytes=0-0') return false;
      response.end(randomBytes(content.length));
      return true;
    };
    expect(await fileFailure(name)).toMatch(/parquet: expected content with the hash [0-9a-f]{64}, got another/);
    expect(existsSync(join(repository(), 'refs'))).toBe(false);
    expect(everyFile().filter((path) => /parquet|incomplete/.test(path))).toEqual([]);
  });
});

test('an interrupted pull is gone on with, as is a broken connection', async () => {
  const controller = new AbortController();
  const reason = new Error('interrupted');
  hub.instead = ({ server, range }, response) => {
    if (server !== 'cdn' || range === 'bytes=0-0') return false;
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 40_000), () => setTimeout(() => controller.abort(reason), 50));
    return true;
  };
  await expect(pullFile(name, { signal: controller.signal })).rejects.toBe(reason);
  const [part] = readdirSync(join(repository(), 'blobs'));
  expect([part!.endsWith('.incomplete'), statSync(join(repository(), 'blobs', part!)).size]).toEqual([true, 40_000]);
  await expect(cachedData(name, options())).rejects.toThrow(`soft-tokens pull ${name} fetches it`);

  hub.instead = undefined;
  const { path, fetchedBytes } = await pullFile(name);
  expect([fetchedBytes, readFileSync(path).equals(content)]).toEqual([content.length - 40_000, true]);

  let broken = 0;
  hub.datasets['org/set'] = {
    files: { [file]: Buffer.from(content).fill(7, 0, 10) },
    commits: { main: 'd'.repeat(40) },
  };
  const next = Buffer.from(hub.datasets['org/set'].files[file]!);
  hub.instead = ({ server, range }, response) =>
    server === 'cdn' && range !== 'bytes=0-0' && broken++ < 1 && brokenAfter(response, 30_000, next);
  expect(readFileSync((await pullFile(name)).path).equals(next)).toBe(true);
  expect(waits).toEqual([500]);
});

test('offline: what is in the cache, and no request', async () => {
  expect(await fileFailure(name, { offline: true })).toMatch(/got none of that name in .*; soft-tokens pull hf:/);
  const { path } = await pullFile(name);
  hub.requests.length = 0;
  expect(await pullFile(name, { offline: true })).toEqual({ path, fetchedBytes: 0 });
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  expect(await pullFile(name)).toEqual({ path, fetchedBytes: 0 });
  expect(hub.requests).toEqual([]);
});
