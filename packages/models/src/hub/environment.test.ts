import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { hubCacheDirectory, hubEndpoint, hubOffline, hubToken } from './environment.js';

const folder = mkdtempSync(join(tmpdir(), 'hub-environment-'));
afterAll(() => rmSync(folder, { recursive: true }));

// The values are those of huggingface_hub 2.4.0: constants.HF_HUB_CACHE with these variables set.
test.each([
  [{}, join(homedir(), '.cache/huggingface/hub')],
  [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
  [{ XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, '/h/hub'],
  [{ HF_HOME: '~/h' }, join(homedir(), 'h/hub')],
  [{ HF_HOME: '$'.concat('{D}/h'), D: '/d' }, '/d/h/hub'],
  [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
  [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '$D/c/$NONE', D: '/d' }, '/d/c/$NONE'],
])('%j: the cache is %s', (env, directory) => expect(hubCacheDirectory(env)).toBe(directory));

test('offline', () => {
  const cases = ['1', 'true', 'ON', '0', '', 'no'].map((HF_HUB_OFFLINE) => hubOffline({ HF_HUB_OFFLINE }));
  expect(cases).toEqual([true, true, true, false, false, false]);
  expect(hubOffline({ TRANSFORMERS_OFFLINE: '1' })).toBe(true);
});

test('endpoint', () => {
  expect(hubEndpoint({})).toBe('https://huggingface.co');
  expect(hubEndpoint({ HF_ENDPOINT: 'http://mirror:8080/hub/' })).toBe('http://mirror:8080/hub');
  expect(() => hubEndpoint({ HF_ENDPOINT: 'mirror' })).toThrow('HF_ENDPOINT: expected an address');
  expect(() => hubEndpoint({ HF_ENDPOINT: 'ftp://mirror' })).toThrow('HF_ENDPOINT: expected an address');
  const secret = () => hubEndpoint({ HF_ENDPOINT: 'https://me:secret@mirror' });
  expect(secret).toThrow('expected an address without a user name');
  expect(secret).not.toThrow('secret');
});

test('the token: variables first, then files; never in a message', async () => {
  writeFileSync(join(folder, 'token'), 'hf_home\n');
  writeFileSync(join(folder, 'other'), 'hf_path');
  writeFileSync(join(folder, 'bad'), 'hf_\u0001secret');
  const home = { HF_HOME: folder };
  expect(await hubToken({ HF_HOME: join(folder, 'none') })).toBeUndefined();
  expect(await hubToken(home)).toBe('hf_home');
  expect(await hubToken({ ...home, HF_TOKEN_PATH: join(folder, 'other') })).toBe('hf_path');
  expect(await hubToken({ ...home, HUGGING_FACE_HUB_TOKEN: 'hf_old' })).toBe('hf_old');
  expect(await hubToken({ ...home, HUGGING_FACE_HUB_TOKEN: 'hf_old', HF_TOKEN: ' hf_new\n' })).toBe('hf_new');
  expect(await hubToken({ ...home, HF_TOKEN: ' ' })).toBe('hf_home');
  for (const env of [{ HF_TOKEN: 'hf_se cret' }, { HF_TOKEN_PATH: join(folder, 'bad') }]) {
    const { message } = (await hubToken(env).catch((error: unknown) => error)) as Error;
    expect(message).toContain('expected an access token');
    expect(message).not.toContain('cret');
  }
});
