import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type GgufTensor, openGguf, writeGguf } from '@soft-tokens/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeRun } from './test/experiment.js';
import {
  runInProcess,
  temporaryFolder,
  tokenizerDirectory,
  writeRandomModel,
  writeRecipe,
  writeSftRecipe,
} from './test/tools.js';

const folder = temporaryFolder();
const datasets = fileURLToPath(new URL('../../datasets/src/__fixtures__/', import.meta.url));
const at = (...path: string[]) => join(folder.path, ...path);
afterAll(folder.remove);
beforeAll(() => writeRandomModel(at('model')));

describe('exit codes', () => {
  test('0: help and version, which fit 80 columns', async () => {
    const first = (await runInProcess(['--help'])).out;
    const names = [...first.matchAll(/^ {2}([a-z]+)/gm)].flatMap(([, name]) => (name === 'help' ? [] : [name!]));
    expect(names).toEqual(expect.arrayContaining(['train', 'doctor']));
    for (const argv of [['--help'], ['--version'], ...names.map((name) => [name, '--help'])]) {
      const { code, out, notes } = await runInProcess(argv);
      expect([code, notes]).toEqual([0, '']);
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
      if (argv.length === 2) expect(out).toContain('Examples:\n  $ soft-tokens');
    }
  });

  test.each([
    [['trian'], 'Did you mean train?'],
    [['train'], "missing required argument 'recipe'"],
    [['train', 'r.yaml', '--sed', '1'], 'Did you mean'],
    [['train', 'r.yaml', '--seed', 'x'], 'Expected a whole number'],
    [['train', 'r.yaml', '--set', 'x'], '--set: expected key=value'],
    [['train', 'none.yaml'], 'none.yaml: expected a recipe, got no such file'],
    [['eval', 'none'], 'expected --data RECIPE or --set data=..., got neither'],
    [['eval', 'none', '--setting', 'soft-sampel', '--set', 'seed=1'], 'Did you mean soft-sample?'],
    [['generate', 'none', 'Q?', '--setting', 'loud'], 'Allowed choices are'],
    [
      ['generate', 'none', 'Q?'],
      'none: expected a Hugging Face model directory with config.json, a .gguf file or ORG/NAME, got no such directory',
    ],
    [['score', 'none'], 'none: expected a Hugging Face model directory'],
    [['bench'], 'bench: expected either --model or --random, got neither; try --random llama'],
    [['bench', '--model', 'none', '--random', 'llama'], 'got both'],
    [['bench', '--model', 'none'], 'none: expected a Hugging Face model directory'],
    [['bench', '--random', 'lama'], 'Did you mean llama?'],
    [['bench', '--random', 'llama:hiden=32'], 'Did you mean hidden?'],
    [['bench', '--random', 'llama', '--steps', '0'], 'Expected a whole number > 0'],
    [['pull', 'gpt2'], 'gpt2: expected the name of a model on the hub, got something else; write ORG/NAME'],
    [['pull', '../..'], 'expected the name of a model on the hub'],
    [['pull', 'a/b', '--file', '../x.gguf'], 'expected the name of a model on the hub'],
    [['pull', 'a/b', '--file', 'x.safetensors'], 'expected the name of a model on the hub'],
    [['doctor', '--engine', 'gpu'], 'Allowed choices are'],
  ])('2: %j', async (argv, message) => {
    const { code, out, notes } = await runInProcess(argv);
    expect([code, out]).toEqual([2, '']);
    expect(notes).toContain(message);
    expect(notes).not.toMatch(/^ {4}at /m); // no stack
  });

  test('1: a model that is damaged, a tokenizer that does not fit', async () => {
    cpSync(at('model'), at('cut'), { recursive: true });
    truncateSync(at('cut', 'model.safetensors'), 1000);
    const cut = await runInProcess(['generate', at('cut'), 'Q?', '--engine', 'wasm']);
    expect([cut.code, cut.out]).toEqual([1, '']);
    expect(cut.notes).toContain('model.safetensors');

    cpSync(at('model'), at('misfit'), { recursive: true });
    const file = at('misfit', 'tokenizer.json');
    const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
    tokenizer.model.vocab.toolarge = 5000;
    writeFileSync(file, JSON.stringify(tokenizer));
    const misfit = await runInProcess(['generate', at('misfit'), 'Q?', '--engine', 'wasm']);
    expect(misfit.code).toBe(1);
    expect(misfit.notes).toMatch(/tokenizer\.json: expected ids below vocab_size 512/);
  });

  test('1: a tokenizer that is missing; no folder is made', async () => {
    cpSync(at('model'), at('mute'), { recursive: true });
    rmSync(at('mute', 'tokenizer.json'));
    const recipe = writeRecipe(folder.path, { model: 'mute' }, 'mute.yaml');
    const { code, notes } = await runInProcess(['train', recipe, '--run-dir', at('mute-run')]);
    expect(code).toBe(1);
    expect(notes).toMatch(/mute\/tokenizer\.json/);
    expect(existsSync(at('mute-run'))).toBe(false);
  });

  test('1: a GGUF file without a tokenizer; no folder is made', async () => {
    await runInProcess(['export', at('model'), '--format', 'gguf', '--out', at('whole.gguf')]);
    const { header, read } = await openGguf(at('whole.gguf'));
    const tensors = header.tensors.map(({ name, shape }) => {
      return [name, { shape, type: 'F32', values: () => read(name) }] satisfies [string, GgufTensor];
    });
    const metadata = [...header.metadata].filter(([key]) => !key.startsWith('tokenizer.'));
    await writeGguf(at('mute.gguf'), { metadata: new Map(metadata), tensors: Object.fromEntries(tensors) });
    const recipe = writeRecipe(folder.path, { model: 'mute.gguf' }, 'mute.yaml');
    const { code, notes } = await runInProcess(['train', recipe, '--run-dir', at('mute-run')]);
    expect([code, notes]).toEqual([1, expect.stringMatching(/mute\.gguf: tokenizer\.ggml\.model: expected/)]);
    expect(existsSync(at('mute-run'))).toBe(false);
  });

  test('1: sft on problems without solutions; no folder is made', async () => {
    writeFileSync(at('bare.jsonl'), '{"question": "1+1?", "answer": "2"}\n');
    const recipe = at('bare.yaml');
    const data = { kind: 'questions', train: 'bare.jsonl', validation: 0 };
    const rest = { steps: 2, batchSize: 1, optimizer: { learningRate: 1, warmup: 1 }, engine: 'wasm', out: 'bare-out' };
    writeFileSync(recipe, JSON.stringify({ model: 'model', data, ...rest }));
    const { code, notes } = await runInProcess(['sft', recipe, '--run-dir', at('bare-run')]);
    expect(code).toBe(1);
    expect(notes).toContain('expected a worked solution to learn from');
    expect(existsSync(at('bare-run'))).toBe(false);
  });

  test('1: sft of a model that no memory holds; no folder is made', async () => {
    const config = { vocab_size: 1e12, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1 };
    const init = {
      architecture: 'llama',
      tokenizer: tokenizerDirectory,
      config: { ...config, num_attention_heads: 2, rms_norm_eps: 1e-5 },
    };
    const recipe = writeSftRecipe(folder.path, { model: undefined, init, steps: 2 });
    const { code, notes } = await runInProcess(['sft', recipe, '--run-dir', at('huge-run')]);
    expect(code).toBe(1);
    expect(notes).toMatch(
      /init\.config: expected about 256000\.0 GB of free memory for 16,000,000,00\d,\d+ parameters/,
    );
    expect(existsSync(at('huge-run'))).toBe(false);
  });

  test('1: sft without a key of init.config, which is named', async () => {
    const init = { architecture: 'llama', tokenizer: tokenizerDirectory, config: { hidden_size: 16 } };
    const recipe = writeSftRecipe(folder.path, { model: undefined, init, steps: 2 });
    const { code, notes } = await runInProcess(['sft', recipe, '--run-dir', at('half-run')]);
    expect([code, notes]).toEqual([1, expect.stringContaining('init.config: vocab_size: expected a value')]);
    expect(existsSync(at('half-run'))).toBe(false);
  });

  test('1: a data line without its answer; no folder is made', async () => {
    writeFileSync(at('bad.jsonl'), '{"question": "1+1?", "answer": "#### 2"}\n{"question": "2+2?"}\n');
    const recipe = writeRecipe(folder.path, { data: { kind: 'gsm8k', train: 'bad.jsonl', validation: 1 } }, 'bad.yaml');
    const { code, notes } = await runInProcess(['train', recipe, '--run-dir', at('bad')]);
    expect(code).toBe(1);
    expect(notes).toMatch(/bad\.jsonl:2: answer/);
    expect(existsSync(at('bad'))).toBe(false);
  });
});

describe('commands on a model that knows nothing', () => {
  test('generate: streams, tells entropies, repeats itself for the same seed', async () => {
    const argv = [
      'generate',
      at('model'),
      'What is 1+1?',
      '--max-thought-tokens',
      '6',
      '--engine',
      'wasm',
      '--seed',
      '3',
    ];
    const text = await runInProcess([...argv, '--show-prompt', '--entropy']);
    expect(text.code).toBe(0);
    expect(text.out).toMatch(
      /^prompt\nUser: What is 1\+1\? Assistant:\nprompt ids\n\d+( \d+)*\nthought \(soft-sample\)\n/,
    );
    const shown = JSON.parse((await runInProcess([...argv, '--json', '--show-prompt'])).out);
    expect(shown.prompt).toBe('User: What is 1+1? Assistant:');
    expect(text.out).toContain(`prompt ids\n${shown.promptIds.join(' ')}\n`);
    expect(text.out).toMatch(
      /6 tokens, stopped at the cap; entropy in nats: mean \d\.\d\d, most \d\.\d\d\nanswer\n\\boxed\{/,
    );
    const json = await runInProcess([...argv, '--json', '--samples', '2']);
    const { completions, ...rest } = JSON.parse(json.out);
    expect(rest).toMatchObject({ engine: 'wasm', setting: 'soft-sample', seed: 3 });
    expect(completions).toHaveLength(2);
    expect(completions[0].thoughtTokens).toHaveLength(6);
    expect(text.out).toContain(completions[0].thought);
    expect((await runInProcess([...argv, '--json', '--samples', '2'])).out).toBe(json.out);
    for (const { entropy } of completions[0].thoughtTokens) expect(entropy).toBeLessThanOrEqual(Math.log(512));
  });

  test('generate: the shown prompt has what the tokenizer adds, special tokens written out', async () => {
    cpSync(at('model'), at('begins'), { recursive: true });
    const file = join(at('begins'), 'tokenizer_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...config, bos_token: config.eos_token, add_bos_token: true }));
    const caps = ['--max-thought-tokens', '1', '--max-answer-tokens', '1', '--engine', 'wasm'];
    const { out } = await runInProcess(['generate', at('begins'), '1', ...caps, '--json', '--show-prompt']);
    const { prompt, promptIds } = JSON.parse(out);
    expect(prompt).toBe('<|end|>User: 1 Assistant:');
    expect(promptIds[0]).toBe(1);
  });

  test('eval: every setting, as a table and as JSON', async () => {
    // The recipe's k are of its own samples, not of those that a flag says.
    const recipe = writeRecipe(folder.path, { evaluate: { samples: 8, k: [8] } });
    const argv = [
      'eval',
      at('model'),
      '--data',
      recipe,
      '--setting',
      'all',
      '--samples',
      '4',
      '--limit',
      '2',
      '--out',
      at('evaluations'),
    ];
    const { code, out } = await runInProcess([...argv, '--json']);
    expect(code).toBe(0);
    const [{ set, questions, settings }] = JSON.parse(out).sets;
    expect([set, questions]).toEqual(['arithmetic', 2]);
    expect(
      settings.map(({ setting, samples, passAtK }: { setting: string; samples: number; passAtK: { k: number }[] }) => [
        setting,
        samples,
        passAtK.map(({ k }) => k),
      ]),
    ).toEqual([
      ['hard-greedy', 1, [1]],
      ['hard-sample', 4, [1, 2, 4]],
      ['fuzzy-greedy', 1, [1]],
      ['fuzzy-sample', 4, [1, 2, 4]],
      ['soft-greedy', 1, [1]],
      ['soft-sample', 4, [1, 2, 4]],
    ]);
    // Other k count up the samples that are there.
    const table = await runInProcess([...argv, '--k', '4,1,4']);
    expect(table.notes).not.toMatch(/ 1\/2/);
    expect(table.out.split('\n')[0]).toBe('setting        @1   @4  maj  ended  tokens');
    expect(table.out.replaceAll('\n', ' ')).toContain('maj: the majority of 4 samples');
    const tooMany = await runInProcess([...argv, '--k', '8']);
    expect([tooMany.code, tooMany.notes]).toEqual([
      2,
      expect.stringContaining('evaluate.k: expected at most the 4 samples, got 8; set evaluate.k or evaluate.samples'),
    ]);
    for (const line of table.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('eval --overwrite: begins anew, but not under an evaluation that is running', async () => {
    const recipe = writeRecipe(folder.path);
    const argv = ['eval', at('model'), '--data', recipe, '--limit', '1', '--out', at('anew'), '--overwrite'];
    expect((await runInProcess(argv)).code).toBe(0);
    const directory = at('anew', readdirSync(at('anew'))[0]!);
    const files = readdirSync(directory);
    writeFileSync(join(directory, '.lock.json'), JSON.stringify([process.ppid]));
    const refused = await runInProcess(argv);
    expect([refused.code, refused.notes]).toEqual([2, expect.stringContaining('got one in use by process')]);
    expect(readdirSync(directory).filter((name) => !name.startsWith('.'))).toEqual(files);

    rmSync(join(directory, '.lock.json'));
    writeFileSync(join(directory, 'hard-greedy.json'), '{}'); // would be taken for a result
    const again = await runInProcess(argv);
    expect([again.code, again.out]).toEqual([0, expect.stringContaining('hard-greedy')]);
    expect(readdirSync(directory)).toEqual(files);
  });

  test('eval: questions with choices, where the recipe has them', async () => {
    const test = join(datasets, 'arcEasy.jsonl');
    const evaluate = { outOfDomain: { science: { kind: 'arc', test }, steps: { kind: 'arithmetic', test: 9 } } };
    const recipe = writeRecipe(at('evaluations'), { evaluate });
    const argv = ['eval', at('model'), '--data', recipe, '--limit', '2', '--out', at('evaluations')];
    const { code, out } = await runInProcess([...argv, '--json']);
    expect(code).toBe(0);
    const results = JSON.parse(out).outOfDomain as { set: string; questions: number; nll: number }[];
    expect(results.map(({ set, questions }) => [set, questions])).toEqual([
      ['science', 2],
      ['steps', 2],
    ]);
    for (const { nll } of results) expect(nll).toBeGreaterThan(3); // a random model of 512 ids
    const table = await runInProcess(argv);
    expect(table.out).toMatch(/science, 2 questions\n\nmodel +accuracy +per char +nll\nmodel /);
    for (const line of table.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('doctor: says what computes and why not the faster ones', async () => {
    const { code, out } = await runInProcess(['doctor', '--json']);
    const report = JSON.parse(out);
    expect(code).toBe(0);
    expect(report.matMulGflops).toBeGreaterThan(0);
    expect(report.notUsed.every(({ reason }: { reason: string }) => reason.length > 0)).toBe(true);
    expect((await runInProcess(['doctor'])).out).toContain(`engine      ok ${report.engine}`);
  });

  test('sft: from scratch to a model directory; resumes; keeps the model card', async () => {
    const recipe = at('sft.yaml');
    const config = { ...JSON.parse(readFileSync(at('model', 'config.json'), 'utf8')) };
    delete config.model_type;
    writeFileSync(
      recipe,
      JSON.stringify({
        init: { architecture: 'llama', tokenizer: tokenizerDirectory, config },
        data: { kind: 'arithmetic', levels: [1], train: 16 },
        steps: 4,
        batchSize: 4,
        maxNoise: 1,
        optimizer: { learningRate: 0.01, warmup: 1 },
        checkpointEvery: 2,
        out: 'warm',
        dtype: 'BF16',
        engine: 'wasm',
      }),
    );
    const argv = ['sft', recipe, '--run-dir', at('runs', 'sft')];
    const first = await runInProcess([...argv, '--json']);
    expect(first.code).toBe(0);
    expect(JSON.parse(first.out)).toMatchObject({
      steps: 4,
      embeddingRms: { start: expect.any(Number), end: expect.any(Number) },
    });
    expect(JSON.parse(readFileSync(at('warm', 'soft_tokens.json'), 'utf8')).embeddingRms).toBe(
      JSON.parse(first.out).embeddingRms.end,
    );
    expect(JSON.parse(readFileSync(at('warm', 'config.json'), 'utf8')).torch_dtype).toBe('bfloat16');
    const weights = readFileSync(at('warm', 'model.safetensors'));

    // Once more from the last checkpoint: the same model, and the card beside it stays.
    writeFileSync(at('warm', 'README.md'), '# card');
    appendFileSync(at('runs', 'sft', 'metrics.jsonl'), '{"step":9}\n');
    rmSync(at('runs', 'sft', 'results.json'));
    const second = await runInProcess(argv);
    expect(second.notes).toContain('resumed after step 4');
    expect(second.notes).toContain('engine wasm');
    expect(second.notes).toContain('0 steps in ');
    expect(readFileSync(at('warm', 'model.safetensors')).equals(weights)).toBe(true);
    expect(readFileSync(at('warm', 'README.md'), 'utf8')).toBe('# card');
    expect(
      readFileSync(at('runs', 'sft', 'metrics.jsonl'), 'utf8')
        .trim()
        .split('\n'),
    ).toHaveLength(4);
    expect((await runInProcess(argv)).notes).toContain('finished before; nothing to do');
  });
});

describe('report', () => {
  test('writes four files beside several runs, prints the main table in 80 columns, and says what is left out', async () => {
    for (const seed of [1, 2]) writeRun(at('several', `seed-${seed}`), { seed, steps: 4, samples: 4 });
    writeRun(at('several', 'going'), { seed: 3, steps: 4, unfinished: true });
    const runs = ['seed-1', 'seed-2', 'going'].map((name) => at('several', name));
    const { code, out, notes } = await runInProcess(['report', ...runs]);
    expect([code, notes]).toEqual([0, expect.stringMatching(/^left out: going: not finished/)]);
    expect(out).toMatch(
      /^As table 3\. The six inference settings on arithmetic: tiny\n\ntrained on, as +HG +HS1 +HS4 /,
    );
    const files = ['html', 'md', 'csv', 'json'].map((form) => at('several', 'report', `report.${form}`));
    for (const file of files) expect(readFileSync(file, 'utf8').length).toBeGreaterThan(1000);
    expect(
      out
        .trim()
        .split('\n')
        .slice(-4)
        .map((line) => resolve(line)),
    ).toEqual(files);
    for (const line of out.split('\n').slice(0, -5)) expect(line.length).toBeLessThanOrEqual(80);

    const json = await runInProcess(['report', ...runs, '--out', at('elsewhere'), '--json']);
    const data = JSON.parse(json.out);
    expect(data.files[0]).toBe(at('elsewhere', 'report.html'));
    expect(data.runs).toHaveLength(3);
    expect(data.tables[0]).toMatchObject({ id: 'table-1', ours: false });
  });

  test('a folder that is no run is an error of usage, and nothing is written', async () => {
    const { code, notes } = await runInProcess(['report', folder.path, '--out', at('none')]);
    expect(code).toBe(2);
    expect(notes).toContain('expected a run folder or a sweep folder');
    expect(existsSync(at('none'))).toBe(false);
  });
});

describe('train', () => {
  const outOfDomain = { steps: { kind: 'arithmetic', levels: [4], test: 5 } };
  const evaluate = { questions: 3, samples: 2, settings: ['hard-greedy', 'soft-sample'], outOfDomain };

  test('trains, evaluates, reports; the same command again does nothing twice', async () => {
    const recipe = writeRecipe(folder.path, { evaluate });
    const argv = ['train', recipe, '--run-dir', at('whole'), '--seed', '5'];
    const first = await runInProcess(argv);
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/^trained {2}steps/);
    expect(first.out).toMatch(/trained +HG +SS1 +SS2\nnone/);
    expect(first.out).toMatch(/steps, 5 questions\n\nmodel +accuracy +per char +nll\nbase .+\nhard .+\nsoft /);
    expect(first.out.trimEnd()).toBe(readFileSync(at('whole', 'table.txt'), 'utf8').trimEnd());
    for (const line of first.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(readFileSync(at('whole', 'report.html'), 'utf8')).toContain('</html>');
    const made = readFileSync(at('whole', 'report.csv'), 'utf8');
    expect(made).toContain('arithmetic/soft-sample@2');
    // Of the folder alone the same comes again.
    expect((await runInProcess(['report', at('whole')])).code).toBe(0);
    expect(readFileSync(at('whole', 'report.csv'), 'utf8')).toBe(made);
    expect(readFileSync(at('whole', 'config.yaml'), 'utf8')).toContain('seed: 5');

    const metrics = readFileSync(at('whole', 'soft', 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(metrics.filter(({ type }) => type === 'step').map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(metrics.filter(({ type }) => type === 'validation').map(({ step }) => step)).toEqual([0, 2, 4, 6]);
    const completions = readFileSync(at('whole', 'soft', 'completions.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(JSON.parse(completions[0]!)).toMatchObject({
      step: 1,
      thought: expect.any(String),
      answer: expect.stringContaining('\\boxed{'),
    });
    // The noise is measured in the base model's embedding, for ever.
    const rms = (path: string) => JSON.parse(readFileSync(join(path, 'soft_tokens.json'), 'utf8')).embeddingRms;
    expect(rms(at('whole', 'soft', 'checkpoints', 'best'))).toBe(rms(at('whole', 'hard', 'checkpoints', 'best')));

    const again = await runInProcess([...argv, '--json']);
    expect(again.notes).toContain('finished before; nothing to do');
    const { models, training } = JSON.parse(again.out);
    expect(models.map(({ subject }: { subject: string }) => subject)).toEqual(['base', 'hard', 'soft']);
    expect(training).toHaveLength(2);
    for (const { outOfDomain: results } of models) {
      const numbers = { accuracy: expect.any(Number), normalized: expect.any(Number), nll: expect.any(Number) };
      expect(results).toEqual([{ set: 'steps', questions: 5, ...numbers }]);
    }

    const other = await runInProcess(['train', recipe, '--run-dir', at('whole'), '--seed', '6']);
    expect(other.code).toBe(2);
    expect(other.notes).toContain('other values of seed');
  });

  test('the trained model can be used like any other', async () => {
    const best = at('whole', 'soft', 'checkpoints', 'best');
    const { code } = await runInProcess(['generate', best, 'Q?', '--max-thought-tokens', '3', '--engine', 'wasm']);
    expect(code).toBe(0);
  });
});
