import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HubServer, type MockModel, startHubServer } from '@soft-tokens/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cachedModel } from './cache.js';
import { type PullOptions, type PullProgress, pullModel } from './pull.js';

// Waits are noted, not waited.
const waits = vi.hoisted(() => [] as number[]);
vi.mock('node:timers/promises', () => ({ setTimeout: async (ms: number) => void waits.push(ms) }));

const config = {
  model_type: 'llama',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  rms_norm_eps: 1e-5,
};
const text = (value: unknown) => Buffer.from(JSON.stringify(value));
const commit = '0123456789abcdef0123456789abcdef01234567';

/** Files that a model needs, and files that it does not. */
const small = {
  'config.json': text(config),
  'tokenizer.json': text({}),
  'chat_template.jinja': Buffer.from('{{ x }}'),
  'generation_config.json': Buffer.alloc(0),
};
const weights = randomBytes(300_000);
const whole: MockModel = {
  files: {
    ...small,
    'README.md': Buffer.from('# card'),
    'model.safetensors': weights,
    'pytorch_model.bin': randomBytes(10),
    'onnx/model.onnx': randomBytes(10),
  },
};
const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
const sharded: MockModel = {
  files: {
    ...small,
    'model.safetensors.index.json': text({ weight_map: { a: shards[0], b: shards[1], c: shards[0] } }),
    [shards[0]]: weights,
    [shards[1]]: randomBytes(100),
  },
};

let hub: HubServer;
let root: string;
const repository = () => join(root, 'cache', 'models--org--name');

beforeEach(async () => {
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE']) {
    vi.stubEnv(name, '');
  }
  root = mkdtempSync(join(tmpdir(), 'hub-pull-'));
  vi.stubEnv('HF_HOME', root);
  hub = await startHubServer({ 'org/name': { ...whole } });
  waits.length = 0;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(root, { recursive: true });
});

const options = () => ({ cacheDirectory: join(root, 'cache'), endpoint: hub.endpoint });
const pull = (name = 'org/name', more: PullOptions = {}) => pullModel(name, { ...options(), ...more });
const failure = async (name = 'org/name', more: PullOptions = {}) => {
  const error = await pull(name, more).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  return (error as Error).message;
};
const everyFile = () => (existsSync(root) ? readdirSync(root, { recursive: true, encoding: 'utf8' }).sort() : []);
const contents = () => hub.requests.filter(({ range, url }) => range !== 'bytes=0-0' && !url.startsWith('/api'));
const brokenAfter = (response: import('node:http').ServerResponse, bytes: number, headers = {}) => {
  response.writeHead(200, { 'content-length': weights.length, ...headers });
  response.write(weights.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
  return true;
};

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

describe('hostile listings: an error, and nothing written', () => {
  const oid = 'a'.repeat(40);
  const good = { type: 'file', path: 'x', size: 1, oid };
  test.each([
    { ...good, path: '../../../evil' },
    { ...good, path: '/etc/evil' },
    { ...good, path: 'a\\..\\evil' },
    { ...good, path: 'evil\0' },
    { ...good, path: 'C:evil' },
    { ...good, type: 'directory', path: '../evil' },
    { ...good, path: 7 },
    { ...good, oid: '../../../../evil' },
    { ...good, oid: undefined },
    { ...good, lfs: { oid: '../evil' } },
    { ...good, xetHash: '../evil' },
    { ...good, size: -1 },
    { ...good, size: 1.5 },
    { ...good, size: '1' },
  ])('%j', async (entry) => {
    hub.models['org/name'] = { ...whole, listing: [entry] };
    expect(await failure()).toMatch(/^org\/name: expected .* of each file, got .*; nothing is fetched$/);
    expect(everyFile()).toEqual([]);
  });

  test('a size beyond the disk', async () => {
    const lfs = { oid: 'a'.repeat(64) };
    hub.models['org/name'] = { ...whole, listing: [{ ...good, path: 'model.safetensors', size: 2 ** 52, lfs }] };
    expect(await failure()).toMatch(
      /expected room for 4503599628 MB in .*, got \d+ MB; make room, or set HF_HUB_CACHE/,
    );
  });

  test('a commit or an index that leads out', async () => {
    hub.models['org/name'] = {
      ...sharded,
      files: {
        ...sharded.files,
        'model.safetensors.index.json': text({ weight_map: { a: '../../evil.safetensors' } }),
      },
    };
    expect(await failure()).toContain('expected the name of a .safetensors file in the same directory');
    rmSync(join(root, 'cache'), { recursive: true });
    hub.instead = ({ url }, response) => {
      if (!url.includes('/revision/')) return false;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sha: '../../evil' }));
      return true;
    };
    expect(await failure()).toMatch(/expected a commit from .*, got \.\.\/\.\.\/evil/);
    expect(everyFile()).toEqual([]);
  });

  test('names that are none', async () => {
    for (const name of ['../..', 'org/name\0', 'a\\b/c', '/etc/passwd', 'org/name@../../x']) {
      expect(await failure(name)).toContain('expected the name of a model on the hub');
    }
    expect(hub.requests).toEqual([]);
    expect(everyFile()).toEqual([]);
  });
});

describe('a hub that says no', () => {
  const answer = (status: number, headers: Record<string, string> = {}) => {
    hub.instead = (_, response) => {
      response.writeHead(status, headers).end('{}');
      return true;
    };
  };

  test('no such repository, revision or file', async () => {
    expect(await failure('org/none')).toMatch(
      /^org\/none: expected access, got 401 RepoNotFound from .*; no such repository, or a private one: check the name, or set HF_TOKEN$/,
    );
    expect(await failure('org/name@v9')).toMatch(/^org\/name@v9: expected a revision v9, got 404 RevisionNotFound/);
    delete hub.models['org/name']!.files['tokenizer.json'];
    answer(404);
    expect(await failure()).toMatch(/expected a model, got 404 from .*; no such repository or revision/);
    expect(everyFile()).toEqual([]);
  });

  test('gated: the licence and the token, which is not printed', async () => {
    answer(403, { 'x-error-code': 'GatedRepo' });
    expect(await failure()).toMatch(
      /403 GatedRepo .*; accept its licence at .*\/org\/name and set HF_TOKEN to a token/,
    );
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const message = await failure();
    expect(message).toMatch(/accept its licence at .*\/org\/name and use a token of that account/);
    answer(401);
    const refused = await failure();
    expect(refused).toContain('whether the token in use is valid');
    expect(message + refused).not.toContain('secret');
  });

  test('the token goes to the hub, not to where it redirects, nor to where a page of the listing leads', async () => {
    await pull('org/name', { token: 'a token of a mirror'.replaceAll(' ', '-') });
    for (const { server, authorization } of hub.requests) {
      expect([server, authorization]).toEqual([server, server === 'hub' ? 'Bearer a-token-of-a-mirror' : undefined]);
    }
    expect(hub.requests.some(({ server }) => server === 'cdn')).toBe(true);
    const elsewhere = await startHubServer({});
    hub.instead = ({ url }, response) => {
      if (!url.includes('/tree/')) return false;
      response.writeHead(200, { 'content-type': 'application/json', link: `<${elsewhere.endpoint}/x>; rel="next"` });
      response.end('[]');
      return true;
    };
    await failure('org/name', { token: 'hf_x' });
    expect(elsewhere.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
    await elsewhere.close();
  });

  test('busy: tried again after what it asks for, or twice as long each time', async () => {
    let times = 0;
    hub.instead = (_, response) => {
      if (times++ >= 3) return false;
      response.writeHead(times === 1 ? 429 : 503, times === 1 ? { 'retry-after': '7' } : {}).end();
      return true;
    };
    await pull();
    expect(waits).toEqual([7000, 1000, 2000]);
    answer(500);
    expect(await failure()).toMatch(/expected an answer in 5 tries, got 500 from .*; try again later$/);
    answer(429, { 'retry-after': '3600' });
    waits.length = 0;
    expect(await failure()).toMatch(/got 429 .*; try again in 3600 s$/);
    expect(waits).toEqual([]);
  });

  test('no hub at all: an answer that is no JSON, no connection, no such host', async () => {
    hub.instead = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>');
      return true;
    };
    expect(await failure()).toMatch(
      /^org\/name: expected JSON from http.*; check HF_ENDPOINT, and whether the network/,
    );
    const closed = await startHubServer({});
    await closed.close();
    expect(await failure('org/name', { endpoint: closed.endpoint })).toMatch(
      /^org\/name: expected an answer from http:.*, got no connection \(ECONNREFUSED\); check the network, or HF_ENDPOINT; what is in the cache needs none \(--offline\)$/,
    );
    expect(await failure('org/name', { endpoint: 'http://no.such.host.invalid' })).toMatch(
      /no connection \((ENOTFOUND|EAI_AGAIN)\)/,
    );
    expect(waits).toEqual([]);
    expect(everyFile()).toEqual([]);
  });

  test('a connection that breaks once the hub was reached is tried again', async () => {
    let times = 0;
    hub.instead = ({ url }, response) => {
      if (!url.includes('/tree/') || times++ > 0) return false;
      response.destroy();
      return true;
    };
    await pull();
    expect(waits).toEqual([500]);
  });
});

describe('without asking', () => {
  test('offline: what is in the cache, and no request', async () => {
    expect(await failure('org/name', { offline: true })).toMatch(
      /got none of that name in .*; soft-tokens pull org\/name/,
    );
    const { path } = await pull();
    hub.requests.length = 0;
    expect(await pull('org/name', { offline: true })).toEqual({ path, fetchedBytes: 0 });
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await pull()).toEqual({ path, fetchedBytes: 0 });
    expect(hub.requests).toEqual([]);
  });

  test('a signal that is aborted already', async () => {
    await expect(pull('org/name', { signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early');
    expect(hub.requests).toEqual([]);
  });

  test('a cache that cannot be written', async () => {
    writeFileSync(join(root, 'cache'), 'a file');
    expect(await failure()).toMatch(
      /^org\/name: expected to write into .*cache, got E.*; set HF_HUB_CACHE to a directory/,
    );
  });
});
