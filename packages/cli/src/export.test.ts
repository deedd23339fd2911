import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readGgufHeader, readSafetensors } from '@soft-tokens/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess, temporaryFolder, writeRandomModel } from './test/tools.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const exported = (...argv: string[]) => runInProcess(['export', ...argv]);
const generated = async (model: string) => {
  const question = ['generate', model, 'What is 1+1?', '--json', '--show-prompt'];
  const { code, out } = await runInProcess([...question, '--max-thought-tokens', '8', '--engine', 'cpu']);
  expect(code).toBe(0);
  const { model: _, ...rest } = JSON.parse(out);
  return rest;
};

beforeAll(() => writeRandomModel(at('model')));
afterAll(folder.remove);

test('gguf: one file that says the same as the directory, soft thoughts included', async () => {
  const { code, out } = await exported(at('model'), '--format', 'gguf', '--out', at('model.gguf'));
  expect([code, out]).toEqual([0, expect.stringMatching(/model\.gguf: \d+ parameters in F32\n$/)]);
  expect(await generated(at('model.gguf'))).toEqual(await generated(at('model')));
});

test('hf, from that file: the same weights; in BF16 where asked for', async () => {
  const json = await exported(at('model.gguf'), '--format', 'hf', '--out', at('again'), '--json');
  expect(JSON.parse(json.out)).toMatchObject({ out: at('again'), format: 'hf', dtype: 'F32' });
  const weights = (name: string) => readSafetensors(join(at(name), 'model.safetensors'));
  expect(await weights('again')).toEqual(await weights('model'));
  expect(await generated(at('again'))).toEqual(await generated(at('model')));
  await exported(at('model'), '--format', 'hf', '--dtype', 'BF16', '--out', at('half'));
  expect(new Set(Object.values(await weights('half')).map(({ dtype }) => dtype))).toEqual(new Set(['BF16']));
});

test('sft, from that file and from its tokenizer: as from the directory', async () => {
  const { model_type: _, ...config } = JSON.parse(readFileSync(join(at('model'), 'config.json'), 'utf8'));
  const warm = async (keys: object) => {
    const rest = { data: { kind: 'arithmetic', levels: [1], train: 16 }, steps: 2, batchSize: 2, engine: 'cpu' };
    const optimizer = { learningRate: 0.01, warmup: 1 };
    writeFileSync(at('sft.yaml'), JSON.stringify({ ...keys, ...rest, optimizer, out: 'warm' }));
    const { code, notes } = await runInProcess(['sft', at('sft.yaml'), '--run-dir', at('warm-run'), '--overwrite']);
    expect([code, notes]).toEqual([0, expect.any(String)]);
    return [readFileSync(join(at('warm'), 'model.safetensors')), await generated(at('warm'))];
  };
  expect(await warm({ model: 'model.gguf' })).toEqual(await warm({ model: 'model' }));
  const fresh = (tokenizer: string) => warm({ init: { architecture: 'llama', tokenizer, config } });
  expect(await fresh('model.gguf')).toEqual(await fresh('model'));
});

test('what is there is replaced only where asked for', async () => {
  writeFileSync(at('kept.gguf'), 'mine');
  const argv = [at('model'), '--format', 'gguf', '--dtype', 'Q8_0', '--out', at('kept.gguf')];
  const refused = await exported(...argv);
  expect([refused.code, refused.notes]).toEqual([2, expect.stringContaining('--overwrite replaces it')]);
  expect(readFileSync(at('kept.gguf'), 'utf8')).toBe('mine');
  expect((await exported(...argv, '--overwrite')).code).toBe(0);
  expect((await readGgufHeader(at('kept.gguf'))).metadata.get('general.file_type')!.value).toBe(7);
});

test('what is there of another kind is never replaced', async () => {
  const over = (format: string, out: string) => exported(at('model'), '--format', format, '--out', out, '--overwrite');
  writeFileSync(at('file'), 'mine');
  const directory = await over('hf', at('file'));
  expect([directory.code, directory.notes]).toEqual([2, expect.stringContaining('--out: expected a directory, got')]);
  mkdirSync(at('folder.gguf'));
  const file = await over('gguf', at('folder.gguf'));
  expect([file.code, file.notes]).toEqual([2, expect.stringContaining('--out: expected a file, got')]);
});

test.each([
  [['gguf', 'x.gguf', '--dtype', 'BF16'], '--dtype: expected one of F32, F16, Q8_0 for --format gguf, got BF16'],
  [['hf', 'x', '--dtype', 'Q8_0'], '--dtype: expected one of F32, BF16, F16 for --format hf, got Q8_0'],
  [['gguf', 'x'], '--out: expected a file with the ending .gguf'],
  [['hf', 'x.gguf'], '--out: expected a directory, got'],
  [['onnx', 'x'], 'Allowed choices are hf, gguf'],
])('2: %j', async ([format, out, ...rest], message) => {
  const { code, notes } = await exported(at('model'), '--format', format!, '--out', at(out!), ...rest);
  expect([code, notes]).toEqual([2, expect.stringContaining(message)]);
  expect(existsSync(at(out!))).toBe(false);
});

test('an adapter is merged into its model', async () => {
  const data = { kind: 'arithmetic', levels: [1], train: 4, validation: 2, test: 2 };
  const optimizer = { learningRate: 0.1, warmup: 0 };
  const sizes = { steps: 1, questionsPerStep: 1, samples: 2, caps: { thought: 4, answer: 2 }, workers: 1 };
  const recipe = { model: at('model'), data, modes: ['soft'], lora: { r: 2 }, optimizer, ...sizes, engine: 'cpu' };
  writeFileSync(at('lora.yaml'), JSON.stringify(recipe));
  expect((await runInProcess(['train', at('lora.yaml'), '--run-dir', at('run')])).code).toBe(0);
  const best = at('run/soft/checkpoints/best');
  expect((await exported(best, '--format', 'gguf', '--out', at('lora.gguf'))).code).toBe(0);
  const names = async (file: string) => (await readGgufHeader(at(file))).tensors.map(({ name }) => name);
  expect(await names('lora.gguf')).toEqual(await names('model.gguf'));
});
