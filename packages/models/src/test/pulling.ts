// A hub and a cache for each test of pulling; importing this makes and removes them.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HubServer, type MockRepository, startHubServer } from '@soft-tokens/testing';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { type PullOptions, pullData, pullModel } from '../hub/pull.js';

export const config = {
  model_type: 'llama',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  rms_norm_eps: 1e-5,
};
export const text = (value: unknown) => Buffer.from(JSON.stringify(value));
export const commit = '0123456789abcdef0123456789abcdef01234567';

/** Files that a model needs, and files that it does not. */
export const small = {
  'config.json': text(config),
  'tokenizer.json': text({}),
  'chat_template.jinja': Buffer.from('{{ x }}'),
  'generation_config.json': Buffer.alloc(0),
};
export const weights = randomBytes(300_000);
export const whole: MockRepository = {
  files: {
    ...small,
    'README.md': Buffer.from('# card'),
    'model.safetensors': weights,
    'pytorch_model.bin': randomBytes(10),
    'onnx/model.onnx': randomBytes(10),
  },
};
export const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
export const sharded: MockRepository = {
  files: {
    ...small,
    'model.safetensors.index.json': text({ weight_map: { a: shards[0], b: shards[1], c: shards[0] } }),
    [shards[0]]: weights,
    [shards[1]]: randomBytes(100),
  },
};

/** A data set: a folder of Parquet, kept as LFS, and a text file. */
export const dataset: MockRepository = {
  files: {
    'README.md': Buffer.from('# card'),
    'main/test-00000-of-00001.parquet': randomBytes(100_000),
    'main/train-00000-of-00001.parquet': randomBytes(2000),
    'test.jsonl': Buffer.from('{"n": 1}'),
    'config.json': text({}),
  },
};

/** Of the test that runs: set before each. */
export let hub: HubServer;
export let root: string;
export const repository = () => join(root, 'cache', 'models--org--name');

beforeEach(async () => {
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE']) {
    vi.stubEnv(name, '');
  }
  root = mkdtempSync(join(tmpdir(), 'hub-pull-'));
  vi.stubEnv('HF_HOME', root);
  hub = await startHubServer({ 'org/name': { ...whole } }, { 'org/set': { ...dataset } });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(root, { recursive: true });
});

export const options = () => ({ cacheDirectory: join(root, 'cache'), endpoint: hub.endpoint });
export const pull = (name = 'org/name', more: PullOptions = {}) => pullModel(name, { ...options(), ...more });
/** What an error says. */
const messageOf = async (result: Promise<unknown>) => {
  const error = await result.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  return (error as Error).message;
};
export const failure = (name = 'org/name', more: PullOptions = {}) => messageOf(pull(name, more));
export const pullFile = (name: string, more: PullOptions = {}) => pullData(name, { ...options(), ...more });
export const fileFailure = (name: string, more: PullOptions = {}) => messageOf(pullFile(name, more));
export const everyFile = () =>
  existsSync(root) ? readdirSync(root, { recursive: true, encoding: 'utf8' }).sort() : [];
export const contents = (): HubServer['requests'] =>
  hub.requests.filter(({ range, url }) => range !== 'bytes=0-0' && !url.startsWith('/api'));
export const brokenAfter = (response: import('node:http').ServerResponse, bytes: number, content = weights) => {
  response.writeHead(200, { 'content-length': content.length });
  response.write(content.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
  return true;
};
