import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type HubServer, startHubServer } from '@soft-tokens/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { finished, runInProcess, start, temporaryFolder, until, writeRandomModel, writeRecipe } from './test/tools.js';

const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
let files: Record<string, Uint8Array>;
/** GSM8K in the hub's columns, as pyarrow writes it. */
const gsm8k = readFileSync(new URL('../../datasets/src/__fixtures__/parquet/gsm8k.parquet', import.meta.url));
const rows = 'hf://datasets/org/set/main/test.parquet';
let hub: HubServer;

beforeAll(async () => {
  const directory = await writeRandomModel(at('source'));
  files = Object.fromEntries(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]));
});
afterAll(folder.remove);

beforeEach(async () => {
  const set = { 'main/test.parquet': gsm8k, 'main/train.parquet': gsm8k };
  hub = await startHubServer({ 'org/name': { files } }, { 'org/set': { files: set } });
  for (const [key, value] of Object.entries({ ...environment('home'), HF_HUB_CACHE: '', HUGGINGFACE_HUB_CACHE: '' })) {
    vi.stubEnv(key, value);
  }
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
});

const environment = (home: string) => ({ HF_HOME: at(home), HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: '' });
const snapshot = (home: string) => at(home, 'hub/models--org--name/snapshots/0123456789abcdef0123456789abcdef01234567');

describe('a pulled model', () => {
  test('its path alone is on standard output; JSON; offline', async () => {
    const first = await runInProcess(['pull', 'org/name']);
    expect([first.code, first.out]).toEqual([0, `${snapshot('home')}\n`]);
    expect(first.notes).toMatch(/^ +\d+% .* of 0\.\d MB {2}config\.json\norg\/name: 0\.\d MB in \d+s\n$/);
    const again = await runInProcess(['pull', 'org/name', '--json']);
    expect(JSON.parse(again.out)).toEqual({ model: 'org/name', path: snapshot('home'), fetched_bytes: 0 });
    expect(again.notes).toContain('org/name: nothing to fetch\n');
    hub.requests.length = 0;
    const offline = await runInProcess(['pull', 'org/name', '--offline']);
    expect([offline.code, offline.out]).toEqual([0, first.out]);
    expect(hub.requests).toEqual([]);
    const none = await runInProcess(['pull', 'org/other', '--offline']);
    expect([none.code, none.out]).toEqual([1, '']);
    expect(none.notes).toContain('soft-tokens pull org/other fetches it');
  });

  test('is called by its name wherever a model is taken, without the network', async () => {
    await runInProcess(['pull', 'org/name']);
    hub.requests.length = 0;
    const small = ['--max-thought-tokens', '2', '--max-answer-tokens', '2', '--json', '--engine', 'wasm'];
    const byName = await runInProcess(['generate', 'org/name', 'Q?', ...small]);
    const byPath = await runInProcess(['generate', at('source'), 'Q?', ...small]);
    expect(byName.notes).toBe('');
    expect(JSON.parse(byName.out)).toEqual({ ...JSON.parse(byPath.out), model: 'org/name' });

    const line =
      '{"promptIds": [1], "thought": {"ids": [2]}, "answerIds": [3], "mode": {"name": "hard", "temperature": 1}}';
    const scored = await runInProcess(['score', 'org/name', '--engine', 'wasm'], [line]);
    expect(JSON.parse(scored.out).answerLogProb).toHaveLength(1);

    const recipe = writeRecipe(folder.path, { model: 'org/name' });
    const evaluated = await runInProcess([
      'eval',
      'org/name',
      '--data',
      recipe,
      '--limit',
      '1',
      '--out',
      at('eval'),
      '--json',
    ]);
    expect(JSON.parse(evaluated.out)).toMatchObject({ model: 'org/name', sets: [{ questions: 1 }] });

    const shape = ['prompts', 'samples', 'prompt-tokens', 'thought-tokens', 'answer-tokens', 'steps'];
    const bench = ['bench', '--model', 'org/name', ...shape.flatMap((flag) => [`--${flag}`, '1'])];
    const timed = await runInProcess([...bench, '--engine', 'wasm', '--json']);
    expect(JSON.parse(timed.out)).toMatchObject({ model: 'org/name', samples: 1 });

    const trained = await runInProcess(['train', recipe, '--run-dir', at('run'), '--set', 'steps=2']);
    expect([trained.code, hub.requests]).toEqual([0, []]);
    // The folder's own recipe keeps the commit that was trained, whatever main leads to later.
    const kept = readFileSync(at('run', 'config.yaml'), 'utf8');
    expect(kept).toContain('model: ../home/hub/models--org--name/snapshots/0123456789abcdef');
    const resumed = await runInProcess(['train', at('run', 'config.yaml'), '--run-dir', at('run')]);
    expect(resumed.notes).toContain('finished before');
  });

  test('a recipe names a model that is not cached: the place, and what fetches it', async () => {
    const recipe = writeRecipe(folder.path, { model: 'org/other@v1' }, 'other.yaml');
    const { code, notes } = await runInProcess(['train', recipe, '--run-dir', at('other')]);
    expect(code).toBe(2);
    expect(notes).toMatch(
      /other\.yaml:2:3: model: org\/other@v1: expected .*; soft-tokens pull org\/other@v1 fetches it/,
    );
    expect(existsSync(at('other'))).toBe(false);
  });

  test('a GGUF file, by --file', async () => {
    hub.models['org/gguf'] = { files: { 'x.gguf': Buffer.from('GGUF'), 'y.gguf': Buffer.from('GGUF') } };
    const { code, out } = await runInProcess(['pull', 'org/gguf', '--file', 'y.gguf']);
    expect([code, readFileSync(out.trim(), 'latin1')]).toEqual([0, 'GGUF']);
    const without = await runInProcess(['pull', 'org/gguf']);
    expect(without.code).toBe(1);
    expect(without.notes).toContain('pull one with --file: x.gguf, y.gguf');
  });
});

describe('a pulled file of data', () => {
  const cached = (home: string) => snapshot(home).replace('models--org--name', 'datasets--org--set');

  test('its path alone is on standard output; JSON; offline', async () => {
    const first = await runInProcess(['pull', rows]);
    expect([first.code, first.out]).toEqual([0, `${join(cached('home'), 'main/test.parquet')}\n`]);
    expect(readFileSync(first.out.trim()).equals(gsm8k)).toBe(true);
    hub.requests.length = 0;
    const offline = await runInProcess(['pull', rows, '--offline', '--json']);
    expect(JSON.parse(offline.out)).toEqual({ data: rows, path: first.out.trim(), fetched_bytes: 0 });
    expect(hub.requests).toEqual([]);
  });

  test('a folder lists its files; a wrong name and --file are usage errors', async () => {
    const folder = await runInProcess(['pull', 'hf://datasets/org/set/main']);
    expect([folder.code, folder.out]).toEqual([1, '']);
    expect(folder.notes).toContain('got a folder; files there: main/test.parquet, main/train.parquet');
    const models = await runInProcess(['pull', 'hf://org/set/x']);
    expect([models.code, models.notes]).toEqual([2, expect.stringContaining('write hf://datasets/ORG/NAME/FILE')]);
    const flag = await runInProcess(['pull', 'hf://datasets/org/set', '--file', 'x.gguf']);
    expect([flag.code, flag.notes]).toEqual([2, expect.stringContaining('--file: expected ORG/NAME before it')]);
  });

  test('is called by its name in every place of a recipe, without the network', async () => {
    for (const split of ['train', 'test']) await runInProcess(['pull', `hf://datasets/org/set/main/${split}.parquet`]);
    hub.requests.length = 0;
    const set = { kind: 'gsm8k', test: rows, validation: 2 };
    const keys = {
      model: at('source'),
      data: { ...set, train: 'hf://datasets/org/set@main/main/train.parquet' },
      evaluate: { questions: 1, samples: 1, settings: ['hard-greedy'], sets: { again: set } },
    };
    const recipe = writeRecipe(folder.path, keys, 'data.yaml');
    const trained = await runInProcess(['train', recipe, '--run-dir', at('data'), '--set', 'steps=2']);
    expect([trained.code, hub.requests]).toEqual([0, []]);
    // The folder's own recipe keeps the files of the commit, relative as all its paths, whatever main leads to later.
    const kept = readFileSync(at('data', 'config.yaml'), 'utf8');
    const found = kept.match(/(?<=(?:train|test): )\S+\.parquet/g)!.map((path) => path.replace(/^.*--org--set/, ''));
    const commit = '/snapshots/0123456789abcdef0123456789abcdef01234567/main';
    expect(found).toEqual([`${commit}/train.parquet`, `${commit}/test.parquet`, `${commit}/test.parquet`]);
    expect(kept).toContain('test: ../home/hub/datasets--org--set');
    const resumed = await runInProcess(['train', at('data', 'config.yaml'), '--run-dir', at('data')]);
    expect(resumed.notes).toContain('finished before');
  });

  test.each([
    ['data.train', rows.replace('test', 'train')],
    ['data.test', rows],
    ['evaluate.sets.one.test', rows],
    ['evaluate.outOfDomain.two.test', 'hf://datasets/org/other@v1/x.jsonl'],
  ])('%s that is not cached: the place, and what fetches it', async (key, name) => {
    vi.stubEnv('HF_HOME', at('empty'));
    const outOfDomain = key.includes('outOfDomain') && { outOfDomain: { two: { kind: 'mmlu', test: name } } };
    const sets = key.includes('sets') && { sets: { one: { kind: 'gsm8k', test: name } } };
    const data = key.startsWith('data') ? { kind: 'gsm8k', [key.slice('data.'.length)]: name } : undefined;
    const keys = { model: at('source'), ...(data && { data }), evaluate: { ...sets, ...outOfDomain } };
    const recipe = writeRecipe(folder.path, keys, 'missing.yaml');
    const { code, notes } = await runInProcess(['train', recipe, '--run-dir', at('missing')]);
    expect(code).toBe(2);
    expect(notes).toMatch(/missing\.yaml:\d+:\d+: /);
    expect(notes).toContain(`: ${key}: ${name}: expected a file in the cache, got none of that name in `);
    expect(notes).toContain(`; soft-tokens pull ${name} fetches it\n`);
    expect(existsSync(at('missing'))).toBe(false);
  });

  test('by --set, and by a name that is none', async () => {
    await runInProcess(['pull', rows]);
    const data = (name: string) => ['--set', `data={kind: gsm8k, test: "${name}"}`];
    const small = ['--limit', '2', '--set', 'caps={thought: 4, answer: 2}', '--set', 'engine=wasm'];
    const flags = [...small, '--json', '--out', at('eval')];
    const evaluated = await runInProcess(['eval', at('source'), ...data(rows), ...flags]);
    expect(JSON.parse(evaluated.out)).toMatchObject({ sets: [{ questions: 2 }] });
    const wrong = await runInProcess(['eval', at('source'), ...data('hf://datasets/org/set/../x'), ...flags]);
    expect(wrong.code).toBe(2);
    expect(wrong.notes).toContain('data.test: hf://datasets/org/set/../x: expected the name of a file of a data set');
  });
});

describe('processes', () => {
  const weights = 'model.safetensors';
  /** The server sends the first part of the weights and then nothing. */
  const stall = (bytes: number) => {
    hub.instead = ({ server, range }, response) => {
      if (server !== 'cdn' || range === 'bytes=0-0') return false;
      response.writeHead(200, { 'content-length': files[weights]!.length }).write(files[weights]!.subarray(0, bytes));
      return true;
    };
  };
  const part = (home: string) => {
    const etag = createHash('sha256').update(files[weights]!).digest('hex');
    return join(at(home), 'hub/models--org--name/blobs', `${etag}.incomplete`);
  };

  test.each([
    ['SIGKILL', null],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s in the middle: the same command goes on from what came', async (signal, exitCode) => {
    const home = `home-${signal}`;
    const options = { cwd: folder.path, env: environment(home) };
    stall(10_000);
    const child = start(['pull', 'org/name'], options);
    const ended = finished(child);
    await until(() => existsSync(part(home)) && statSync(part(home)).size === 10_000, 'a part of the weights');
    child.kill(signal);
    const { code, out, notes } = await ended;
    expect([code, out]).toEqual([exitCode, '']);
    if (exitCode) expect(notes).toContain('; the same command goes on from what came\n');
    expect(existsSync(join(at(home), 'hub/models--org--name/refs'))).toBe(false);

    hub.instead = undefined;
    hub.requests.length = 0;
    const second = await finished(start(['pull', 'org/name'], options));
    expect([second.code, second.out]).toEqual([0, `${snapshot(home)}\n`]);
    const contents = hub.requests.filter(({ range, url }) => range !== 'bytes=0-0' && !url.startsWith('/api'));
    expect(contents.map(({ server, range }) => [server, range])).toEqual([
      ['hub', 'bytes=10000-'],
      ['cdn', 'bytes=10000-'],
    ]);
    expect(readFileSync(join(snapshot(home), weights)).equals(files[weights]!)).toBe(true);
  });

  test('a recipe that names data: an error that says what fetches it; once that ran, the recipe runs', async () => {
    const options = { cwd: folder.path, env: environment('home-data') };
    const recipe = writeRecipe(folder.path, { data: { kind: 'gsm8k', test: rows } }, 'process.yaml');
    const evaluate = ['eval', at('source'), '--data', recipe, '--limit', '1', '--json'];
    const before = await finished(start(evaluate, options));
    expect([before.code, before.out]).toEqual([2, '']);
    const [, pull] = /; soft-tokens (pull \S+) fetches it\n$/.exec(before.notes)!;
    const pulled = await finished(start(pull!.split(' '), options));
    expect([pulled.code, pulled.out]).toEqual([0, expect.stringMatching(/main\/test\.parquet\n$/)]);
    hub.requests.length = 0;
    const after = await finished(start(evaluate, options));
    expect([after.code, hub.requests]).toEqual([0, []]);
    expect(JSON.parse(after.out)).toMatchObject({ sets: [{ questions: 1 }] });
  });

  test('no network: one line, exit code 1', async () => {
    const env = { ...environment('home-none'), HF_ENDPOINT: 'http://no.such.host.invalid', HF_TOKEN: 'hf_secret' };
    const { code, out, notes } = await finished(start(['pull', 'org/name'], { cwd: folder.path, env }));
    expect([code, out]).toEqual([1, '']);
    expect(notes).toMatch(/^error: org\/name: expected an answer from http.*, got no connection \(E\w+\); .*\n$/);
    expect(notes).not.toContain('secret');
    expect(existsSync(at('home-none'))).toBe(false);
  });
});
