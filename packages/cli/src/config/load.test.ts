import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CliError } from '../errors.js';
import { temporaryFolder } from '../test/tools.js';
import { loadEvalRecipe, loadSftRecipe, loadTrainRecipe } from './load.js';
import { parseSetting } from './set.js';

const folder = temporaryFolder();
afterAll(folder.remove);
beforeAll(() => {
  mkdirSync(join(folder.path, 'model'));
  writeFileSync(join(folder.path, 'model', 'config.json'), '{}');
});

const good = `
model: model
data: { kind: arithmetic, levels: [2], train: 10, validation: 5, test: 5 }
steps: 30
questionsPerStep: 2
samples: 4
caps: { thought: 16 }
optimizer: { learningRate: 1e-4 }
`;

function write(text: string): string {
  const file = join(folder.path, 'recipe.yaml');
  writeFileSync(file, text);
  return file;
}

async function problem(text: string, ...flags: string[]): Promise<string> {
  const error = await loadTrainRecipe(write(text), flags.map(parseSetting)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CliError);
  expect((error as CliError).exitCode).toBe(2);
  return (error as CliError).message;
}

test('fills defaults in and finds paths beside the recipe', async () => {
  const config = await loadTrainRecipe(write(good), []);
  expect(config.model).toBe(join(folder.path, 'model'));
  expect(config.modes).toEqual(['hard', 'soft', 'fuzzy']);
  expect(config.noise).toEqual({ factor: 0.33, scale: 'entry' });
  expect(config.caps).toEqual({ thought: 16, answer: 32 });
  expect(config.optimizer).toMatchObject({ learningRate: 1e-4, warmup: 20, beta2: 0.999 });
  expect(config.evaluate).toBeUndefined();
});

test('an unknown key is an error with its line, its column and the key that was likely meant', async () => {
  expect(await problem(`${good}stpes: 3\n`)).toMatch(/recipe\.yaml:9:1: stpes: unknown key; did you mean steps\?$/);
  expect(await problem(good.replace('learningRate', 'learnigRate'))).toMatch(
    /recipe\.yaml:8:14: optimizer\.learnigRate: unknown key; did you mean learningRate\?/,
  );
  // Of the keys of the chosen kind of data, too.
  expect(await problem(good.replace('levels', 'lvels'))).toMatch(
    /:3:27: data\.lvels: unknown key; did you mean levels\?/,
  );
  expect(await problem(`${good}caps2: { qqq: 1 }\n`)).toContain('did you mean caps?');
  expect(await problem(good.replace('thought: 16', 'thought: 16, qqqqqqq: 1'))).toContain(
    'the keys here are thought, answer',
  );
});

test('a wrong value is an error with its place, what was expected and what it is', async () => {
  expect(await problem(good.replace('steps: 30', 'steps: many'))).toMatch(
    /:4:1: steps: expected a number, got "many"$/,
  );
  expect(await problem(good.replace('1e-4', '.nan'))).toMatch(/expected a number > 0, .*, got NaN$/);
  expect(await problem(good.replace('samples: 4', 'samples: 1'))).toMatch(/:6:1: samples: expected >=2, got 1$/);
  expect(await problem(good.replace('arithmetic', 'algebra'))).toMatch(
    /:3:9: data\.kind: expected one of arithmetic, gsm8k, math, .*, amc, questions, got "algebra"$/,
  );
  expect(await problem(`${good}modes: [hard, sofd]\n`)).toMatch(
    /modes\.1: expected one of hard, soft, fuzzy, got "sofd"$/,
  );
  expect(await problem(good.replace('1e-4', 'high'))).toContain(
    'optimizer.learningRate: expected a number > 0, or {hard, soft, fuzzy}',
  );
  expect(await problem(good.replace('steps: 30\n', ''))).toMatch(/steps: expected a number, got none/);
});

test('every issue is listed', async () => {
  const lines = (await problem(good.replace('steps: 30', 'steps: 1.5').replace('samples: 4', 'samples: x'))).split(
    '\n',
  );
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain('steps: expected a whole number, got 1.5');
});

test('a flag is named as a flag', async () => {
  expect(await problem(good, 'steps=many')).toBe('--set steps=many: steps: expected a number, got "many"');
  expect(await problem(good, 'caps.thougt=3')).toBe(
    '--set caps.thougt=3: caps.thougt: unknown key; did you mean thought?',
  );
  expect(await problem(good, 'steps.x=3')).toMatch(/^--set steps\.x=3: expected steps to be a map/);
});

test('flags win over the file, and make maps that it lacks', async () => {
  const flags = ['steps=25', 'evaluate.samples=8', 'steps=26'].map(parseSetting);
  const config = await loadTrainRecipe(write(good), flags);
  expect(config.steps).toBe(26);
  // What is tested at is the paper's noise, whatever is trained at.
  expect(config.evaluate).toEqual({ samples: 8, outOfDomain: {}, noise: { factor: 0.33, scale: 'entry' } });
});

test('eval tests at the noise of evaluate, not at that of training', async () => {
  const recipe = write(`${good}noise: { factor: 1 }\n`);
  expect((await loadEvalRecipe(recipe, [])).evaluate.noise.factor).toBe(0.33);
  const set = [parseSetting('evaluate.noise.factor=2')];
  expect((await loadEvalRecipe(recipe, set)).evaluate.noise.factor).toBe(2);
});

test('files that are not there are errors with the place that names them', async () => {
  expect(await problem(good.replace('model: model', 'model: modle'))).toMatch(
    /recipe\.yaml:2:1: model: .*modle: expected a Hugging Face model directory with config\.json, .* got no such directory$/,
  );
  const gsm8k = good.replace(/data: .*/, 'data: { kind: gsm8k, train: none.jsonl }');
  expect(await problem(gsm8k)).toMatch(/:3:22: data\.train: expected a file, got nothing at .*none\.jsonl$/);
  const missing = loadTrainRecipe(join(folder.path, 'no.yaml'), []);
  await expect(missing).rejects.toThrow(/no\.yaml: expected a recipe, got no such file/);
});

test('text that is not YAML, or no map, is an error with its place', async () => {
  expect(await problem('steps: [1\nmodel: x')).toMatch(/recipe\.yaml:\d+:\d+: /);
  expect(await problem('- 1\n')).toMatch(/recipe\.yaml:1:1: expected a map of keys to values, got a list/);
  expect(await problem('steps: 1\nsteps: 2\n')).toMatch(/recipe\.yaml:2:1: .*unique/);
});

test('what does not fit together is an error', async () => {
  expect(await problem(good, 'optimizer.warmup=30')).toContain('expected fewer than the 30 steps, got 30');
  expect(await problem(good, 'optimizer.learningRate={hard: 1e-4}')).toContain('expected a rate for soft, got none');
  expect(await problem(good, 'evaluate={samples: 4, k: [8]}')).toContain(
    'evaluate.k: expected at most the 4 samples, got 8',
  );
});

test('rewards, baselines, a penalty and an early stop; estimators only where their gradient is a divergence’s', async () => {
  const usual = await loadTrainRecipe(write(good), []);
  expect(usual).toMatchObject({ reward: { correct: 100, boxed: 10, none: 0 }, advantage: 'leaveOneOut' });
  expect([usual.kl, usual.stopWhen]).toEqual([undefined, undefined]);
  const text = `${good}reward: { correct: 1, boxed: 0 }\nadvantage: standardized\nstopWhen: { patience: 3 }\n`;
  const config = await loadTrainRecipe(write(`${text}kl: { coefficient: 0.05 }\n`), []);
  expect(config).toMatchObject({
    reward: { correct: 1, boxed: 0, none: 0 },
    advantage: 'standardized',
    stopWhen: { patience: 3 },
    kl: { coefficient: 0.05, in: 'reward' },
  });
  const inLoss = await loadTrainRecipe(write(good), [parseSetting('kl={coefficient: 1, in: loss, estimator: k2}')]);
  expect(inLoss.kl).toEqual({ coefficient: 1, in: 'loss', estimator: 'k2' });
  expect(await problem(good, 'kl={coefficient: 1, estimator: k3}')).toContain(
    'kl.estimator: expected k1 in the reward,',
  );
  expect(await problem(good, 'kl={coefficient: 1, in: loss, estimator: k1}')).toContain(
    'expected k2 or k3 in the loss,',
  );
  expect(await problem(good, 'kl={coefficient: 0}')).toContain('kl.coefficient: expected >0, got 0');
  expect(await problem(good, 'advantage=leave-one-out')).toMatch(/advantage: expected one of leaveOneOut, aboutMean, /);
  expect(await problem(good, 'stopWhen={patience: 0}')).toContain('stopWhen.patience: expected >0, got 0');
  const topK = ['noise={placement: topk, k: 5}', 'kl={coefficient: 1}'];
  expect(await problem(good, ...topK)).toContain('kl: expected none with noise on the largest logits');
  await loadTrainRecipe(write(good), [...topK, 'modes=[hard]'].map(parseSetting));
});

test('training noise elsewhere than on the embedding; testing keeps the paper’s', async () => {
  const config = await loadTrainRecipe(write(`${good}noise: { placement: topk, k: 5 }\nevaluate: {}\n`), []);
  expect(config.noise).toEqual({ factor: 0.33, scale: 'entry', placement: 'topk', k: 5 });
  expect(config.evaluate!.noise).toEqual({ factor: 0.33, scale: 'entry' });
  const wants = 'noise.k: expected k, how many logits, with placement topk, and with no other';
  expect(await problem(good, 'noise={placement: topk}')).toContain(wants);
  expect(await problem(good, 'noise={placement: logits, k: 5}')).toContain(wants);
  expect(await problem(good, 'noise.k=5')).toContain(wants);
  expect(await problem(good, 'noise={placement: hidden, scale: row}')).toContain('noise.scale: expected entry where');
  expect(await problem(good, 'noise.placement=logit')).toMatch(/noise\.placement: expected .*logits/);
  expect(await problem(good, 'noise.plcement=logits')).toContain('did you mean placement?');
  expect(await problem(good, 'evaluate={noise: {placement: logits}}')).toContain(
    'evaluate.noise.placement: unknown key',
  );
});

test('a recipe extends another: maps merge, its own values win, errors and paths are of the file that says them', async () => {
  const [base, below] = ['base.yaml', 'below'];
  mkdirSync(join(folder.path, below), { recursive: true });
  const at = (name: string) => join(folder.path, name);
  writeFileSync(at('data.jsonl'), '');
  writeFileSync(at(base), good.replace(/data: .*/, 'data: { kind: gsm8k, train: data.jsonl }\nmodes: [hard, soft]'));
  const own = (text: string) => {
    writeFileSync(join(folder.path, below, 'own.yaml'), text);
    return join(folder.path, below, 'own.yaml');
  };
  const extended = 'extends: ../base.yaml\nmodes: [fuzzy]\noptimizer: { warmup: 3 }\nnoise: { factor: 1 }\n';
  const config = await loadTrainRecipe(own(extended), [parseSetting('caps.answer=7')]);
  expect(config).toMatchObject({
    model: at('model'),
    modes: ['fuzzy'],
    data: { train: at('data.jsonl') },
    optimizer: { learningRate: 1e-4, warmup: 3 },
    noise: { factor: 1 },
    caps: { thought: 16, answer: 7 },
  });
  expect(config).not.toHaveProperty('extends');

  const problemOf = (text: string, ...flags: string[]) =>
    loadTrainRecipe(own(text), flags.map(parseSetting)).then(
      () => 'no problem',
      (error: CliError) => error.message,
    );
  expect(await problemOf(`${extended}samples: x\n`)).toMatch(/below\/own\.yaml:5:1: samples: expected a number/);
  expect(await problemOf(`${extended}optimzer: {}\n`)).toMatch(/own\.yaml:5:1: optimzer: unknown key; did you mean/);
  writeFileSync(at(base), good.replace('samples: 4', 'samples: y'));
  expect(await problemOf(extended)).toMatch(/base\.yaml:6:1: samples: expected a number, got "y"/);
  expect(await problemOf(extended, 'samples=z')).toMatch(/^--set samples=z: samples: expected a number/);
  expect(await problemOf('extends: none.yaml\n')).toMatch(
    /own\.yaml:1:1: extends: expected a recipe, got no such file at .*below\/none\.yaml; see recipes\//,
  );
  expect(await problemOf('steps: 3\nextends: [a]\n')).toMatch(
    /own\.yaml:2:1: extends: expected the path of a recipe, got \["a"\]$/,
  );
  expect(await problemOf('extends: ./own.yaml\n')).toMatch(/own\.yaml:1:1: extends: expected another recipe, got/);
});

test('eval takes its sections from any recipe, and flags alone', async () => {
  const config = await loadEvalRecipe(write(good), []);
  expect(config.caps.thought).toBe(16);
  expect(Object.keys(config)).not.toContain('steps');
  const bare = await loadEvalRecipe(undefined, [parseSetting('data={kind: arithmetic, levels: [1]}')]);
  expect(bare.caps).toEqual({ thought: 512, answer: 32 });
  await expect(loadEvalRecipe(write(`${good}dta: 1\n`), [])).rejects.toThrow(
    /:9:1: dta: unknown key; did you mean data\?/,
  );
});

test('sft starts from a model or from scratch, not from both or neither', async () => {
  const text = `
data: { kind: arithmetic }
steps: 30
batchSize: 2
optimizer: { learningRate: 1e-3 }
out: out
`;
  await expect(loadSftRecipe(write(text), [])).rejects.toThrow('expected either model or init');
  const config = await loadSftRecipe(write(`${text}model: model\n`), []);
  expect(config.out).toBe(join(folder.path, 'out'));
  await expect(loadSftRecipe(write(`${text}model: model\n`), [parseSetting('out=x.gguf')])).rejects.toThrow(
    '--set out=x.gguf: out: expected a directory, got x.gguf; soft-tokens export writes GGUF files',
  );
});

test('sft takes the tokenizer of any model, or a directory that has no more', async () => {
  const at = (...path: string[]) => join(folder.path, ...path);
  mkdirSync(at('words'));
  writeFileSync(at('words', 'tokenizer.json'), '{}');
  writeFileSync(at('x.gguf'), 'GGUF');
  mkdirSync(at('adapter'));
  const adapter = { peft_type: 'LORA', r: 1, lora_alpha: 1, target_modules: ['q_proj'], bias: 'none' };
  const ofModel = { ...adapter, base_model_name_or_path: at('x.gguf') };
  writeFileSync(at('adapter', 'adapter_config.json'), JSON.stringify(ofModel));
  const sft = (tokenizer: string) => {
    const init = { architecture: 'llama', tokenizer, config: {} };
    const rest = { data: { kind: 'arithmetic' }, steps: 30, batchSize: 2, optimizer: { learningRate: 1 }, out: 'out' };
    return loadSftRecipe(write(JSON.stringify({ init, ...rest })), []);
  };
  for (const name of ['words', 'model', 'x.gguf']) expect((await sft(name)).init!.tokenizer).toBe(at(name));
  expect((await sft('adapter')).init!.tokenizer).toBe(at('x.gguf'));
  await expect(sft('org/none')).rejects.toThrow(
    /recipe\.yaml:1:\d+: init\.tokenizer: .* soft-tokens pull org\/none fetches it$/,
  );
});
