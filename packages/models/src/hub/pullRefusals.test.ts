import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startHubServer } from '@soft-tokens/testing';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { everyFile, failure, hub, pull, root, sharded, text, whole } from '../test/pulling.js';

// Waits are noted, not waited.
const waits = vi.hoisted(() => [] as number[]);
vi.mock('node:timers/promises', () => ({ setTimeout: async (ms: number) => void waits.push(ms) }));
beforeEach(() => {
  waits.length = 0;
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
      /403 GatedRepo .*; accept its licence at http:\/\/[^/]+\/org\/name and set HF_TOKEN to a token/,
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
