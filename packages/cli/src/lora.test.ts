// Training adapters from the command line, and what can be done with them.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tinyModelDirectory } from '@soft-tokens/models';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess, temporaryFolder, writeRecipe, writeSftRecipe } from './test/tools.js';

const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
const json = (...path: string[]) => JSON.parse(readFileSync(at(...path), 'utf8'));
const evaluate = { questions: 2, samples: 2, settings: ['hard-greedy', 'soft-sample'] };
let recipe: string;
let trained: Awaited<ReturnType<typeof runInProcess>>;

afterAll(folder.remove);
beforeAll(async () => {
  cpSync(tinyModelDirectory, at('model'), { recursive: true }); // it solves some problems, so that there is a gradient
  recipe = writeRecipe(folder.path, {
    modes: ['soft'],
    steps: 2,
    samples: 8,
    optimizer: { learningRate: 0.05, warmup: 0 },
    evaluate,
  });
  trained = await runInProcess([
    'train',
    recipe,
    '--run-dir',
    at('run'),
    '--lora',
    'r=3',
    '--lora',
    'target=q_proj+down_proj',
    '--json',
  ]);
});

const adapter = (run = 'run') => at(run, 'soft', 'checkpoints', 'best');
const answer = async (model: string) => {
  const argv = ['generate', model, 'What is 1+1?', '--max-thought-tokens', '8', '--engine', 'wasm', '--json'];
  const { code, out, notes } = await runInProcess(argv);
  expect([code, notes.replace(/^engine .*\n/, '')]).toEqual([0, '']);
  return JSON.parse(out).completions;
};

test('train --lora: the settings are the recipe’s, checkpoints are adapters, and they are what is tested', async () => {
  expect(trained.code).toBe(0);
  expect(readFileSync(at('run', 'config.yaml'), 'utf8')).toContain(
    'lora:\n  r: 3\n  alpha: 32\n  target:\n    - q_proj\n    - down_proj\n',
  );
  expect(readdirSync(adapter()).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  expect(readdirSync(at('run', 'soft', 'checkpoints', 'step-000002')).sort()).toEqual([
    ...['adapter_config.json', 'adapter_model.safetensors', 'optimizer.safetensors', 'trainer.json'],
  ]);
  expect(json('run', 'soft', 'checkpoints', 'best', 'adapter_config.json')).toMatchObject({
    base_model_name_or_path: at('model'),
    r: 3,
    lora_alpha: 32,
    target_modules: ['q_proj', 'down_proj'],
  });
  const argv = ['eval', adapter(), '--data', recipe, '--setting', 'soft-sample', '--samples', '2', '--limit', '2'];
  const { code, out } = await runInProcess([...argv, '--out', at('eval'), '--engine', 'wasm', '--json']);
  expect(code).toBe(0);
  const [{ settings }] = JSON.parse(out).sets;
  expect(settings).toEqual([json('run', 'soft', 'eval', 'arithmetic', 'soft-sample.json')]);
});

test('the same command does nothing again; other adapters are another configuration', async () => {
  const again = await runInProcess(['train', recipe, '--run-dir', at('run'), '--lora', 'r=3,target=q_proj+down_proj']);
  expect([again.code, again.notes]).toEqual([0, expect.stringContaining('nothing to do')]);
  const other = await runInProcess(['train', recipe, '--run-dir', at('run'), '--lora', 'r=4,target=q_proj+down_proj']);
  expect([other.code, other.notes]).toEqual([2, expect.stringContaining('got other values of lora.r;')]);
});

test('an adapter is generated from, scored and trained on like a model; a run may be moved with its model', async () => {
  expect(await answer(adapter())).not.toEqual(await answer(at('model')));
  const line =
    '{"promptIds":[1,2],"thought":{"ids":[3,4]},"answerIds":[5],"mode":{"name":"hard","temperature":1,"noiseScale":0}}';
  const scores = await Promise.all(
    [adapter(), at('model')].map((model) => runInProcess(['score', model, '--engine', 'wasm'], [line])),
  );
  expect(scores.map(({ code }) => code)).toEqual([0, 0]);
  expect(scores[0]!.out).not.toBe(scores[1]!.out);

  const argv = ['--set', `model=${adapter()}`, '--set', 'evaluate.settings=[hard-greedy]'];
  const on = await runInProcess(['train', recipe, '--run-dir', at('on'), ...argv]);
  expect([on.code, on.notes]).toEqual([0, expect.any(String)]);
  expect(json('on', 'soft', 'checkpoints', 'best', 'adapter_config.json')).toMatchObject({
    base_model_name_or_path: at('model'),
    r: 3,
  });

  mkdirSync(at('there'));
  cpSync(at('model'), at('there', 'model'), { recursive: true });
  cpSync(at('run'), at('there', 'run'), { recursive: true });
  const text = readFileSync(join(adapter('there/run'), 'adapter_config.json'), 'utf8');
  writeFileSync(join(adapter('there/run'), 'adapter_config.json'), text.replace(at('model'), '../../../../model'));
  renameSync(at('model'), at('away'));
  expect(await answer(adapter('there/run'))).toHaveLength(1);
  const lost = await runInProcess(['generate', adapter(), 'Q?', '--engine', 'wasm']);
  expect([lost.code, lost.notes]).toEqual([
    1,
    expect.stringContaining('base_model_name_or_path: expected a model, got'),
  ]);
  renameSync(at('away'), at('model'));
});

test('bench: an adapter is timed on its model, which is frozen', async () => {
  const shape = ['--prompts', '1', '--samples', '2', '--prompt-tokens', '5', '--thought-tokens', '4'];
  const argv = [...shape, '--answer-tokens', '2', '--steps', '1', '--mode', 'hard', '--engine', 'wasm', '--json'];
  const bench = async (model: string) => JSON.parse((await runInProcess(['bench', '--model', model, ...argv])).out);
  const [whole, lora] = [await bench(at('model')), await bench(adapter())];
  const adapted = 3 * 3 * (64 + 64 + 192 + 64); // layers, rank, in and out of q_proj and down_proj
  expect(lora.parameters).toBe(whole.parameters + adapted);
  expect(lora.flops_per_step).toBe((3 / 4) * whole.flops_per_step + 8 * adapted * (5 + 2 * 5));
  expect(lora.steps).toHaveLength(1);
});

test('merge: one model, which computes the same', async () => {
  const merge = await runInProcess(['merge', at('model'), adapter(), '--out', at('merged'), '--engine', 'wasm']);
  expect(merge).toMatchObject({
    code: 0,
    out: expect.stringMatching(/merged: \d+ parameters in F32, \d+ of an adapter/),
  });
  expect(readdirSync(at('merged'))).toContain('tokenizer.json');
  const line =
    '{"promptIds":[1,2],"thought":{"ids":[3,4]},"answerIds":[5],"mode":{"name":"hard","temperature":1,"noiseScale":0}}';
  const [of, want] = await Promise.all(
    [at('merged'), adapter()].map(async (model) => {
      const { out } = await runInProcess(['score', model, '--engine', 'wasm'], [line]);
      return JSON.parse(out).thoughtLogProb as number[];
    }),
  );
  of!.forEach((x, i) => {
    expect(Math.abs(x - want![i]!)).toBeLessThan(1e-4);
  });
  const half = ['merge', at('model'), adapter(), '--out', at('half'), '--dtype', 'BF16', '--engine', 'wasm', '--json'];
  expect(JSON.parse((await runInProcess(half)).out)).toMatchObject({ out: at('half'), dtype: 'BF16' });
  expect((await runInProcess([...half, '--overwrite'])).code).toBe(0);
  expect(json('half', 'config.json').torch_dtype).toBe('bfloat16');
});

test('what cannot be is told before anything is made', async () => {
  const refused = async (argv: string[], message: string) => {
    const { code, out, notes } = await runInProcess(argv);
    expect([code, out]).toEqual([2, '']);
    expect(notes).toContain(message);
    expect(existsSync(at('none'))).toBe(false);
  };
  const train = (...argv: string[]) => ['train', recipe, '--run-dir', at('none'), ...argv];
  await refused(train('--lora', 'r=16;alpha=2'), 'lora.r: expected a number, got "16;alpha=2"');
  await refused(train('--lora', '16'), 'Expected settings like r=16,alpha=32,target=q_proj+v_proj.');
  await refused(
    train('--lora', 'rank=2'),
    '--set lora.rank=2: lora.rank: unknown key; the keys here are r, alpha, target',
  );
  await refused(train('--lora', 'alhpa=2'), 'did you mean alpha?');
  await refused(train('--lora', 'alpha=-2'), 'lora.alpha: expected');
  await refused(train('--lora', 'target=all_linear'), 'lora.target: all_linear: no linear layer of');
  await refused(train('--lora', 'target=q_proj+k_prj'), 'k_prj: no linear layer of');
  await refused(train('--lora', 'target=q_proj+k_prj'), 'did you mean k_proj?');
  await refused(train('--lora', 'r=2', '--set', 'frozen=[model.norm.weight]'), 'frozen: expected none beside lora');
  await refused(train('--lora', 'r=2', '--set', `model=${adapter()}`), 'lora: expected a model without adapters');
  const merge = (...argv: string[]) => ['merge', at('model'), ...argv, '--engine', 'wasm'];
  await refused(merge(adapter()), "required option '--out <directory>' not specified");
  await refused(merge(at('model'), '--out', at('none')), 'expected a directory with adapter_config.json, got none');
  await refused(merge(adapter(), '--out', at('model')), 'which is there; --overwrite replaces it');
  await refused(merge(adapter(), '--out', at('model'), '--overwrite'), '--out: expected a directory of its own');
  await refused(merge(adapter(), '--out', at('none.gguf')), '--out: expected a directory, got');
  await refused(['merge', adapter(), adapter(), '--out', at('none')], 'expected a whole model, got an adapter; export');
  const sft = writeSftRecipe(folder.path, { steps: 2, model: adapter(), out: 'none' });
  await refused(['sft', sft, '--run-dir', at('none')], 'merge it first: soft-tokens merge');
});
