// What the tests of commands share: streams in memory, a tiny model with random weights, processes.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCausalLM, initialWeights, llama, saveModel } from '@soft-tokens/models';
import type { SettingName } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import pico from 'picocolors';
import type { ExitCode } from '../errors.js';
import type { Io } from '../io.js';
import { run } from '../program.js';
import type { SettingSummary } from '../summary.js';

const models = fileURLToPath(new URL('../../../models/', import.meta.url));

/** The tokenizer that comes with the models package. */
export const tokenizerDirectory = join(models, 'tiny');

/** Fixtures written by PyTorch. */
export const fixtures = join(models, 'src', '__fixtures__');

/** A fresh folder, and how to remove it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'soft-tokens-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Outcome {
  code: ExitCode;
  out: string;
  notes: string;
}

/** Runs a command line in this process, on streams in memory. */
export async function runInProcess(argv: string[], input: string[] = []): Promise<Outcome> {
  const written = { out: '', notes: '' };
  const plain = pico.createColors(false);
  const io: Io = {
    out: (text) => {
      written.out += text;
    },
    note: (text) => {
      written.notes += text;
    },
    async *lines() {
      yield* input;
    },
    terminal: { live: false, stream: process.stderr },
    colors: { out: plain, note: plain },
    signal: new AbortController().signal,
  };
  const code = await run(argv, io);
  return { code, ...written };
}

/** Writes a model of two layers with random weights; it knows nothing, but everything runs. */
export async function writeRandomModel(directory: string): Promise<string> {
  await useEngine('wasm');
  const config = {
    model_type: 'llama',
    vocab_size: 512,
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    initializer_range: 0.3,
  };
  const model = createCausalLM(llama, config, initialWeights(llama, config, 1));
  await saveModel(model, directory, { from: tokenizerDirectory });
  model.dispose();
  return directory;
}

/** A training recipe that takes seconds; `keys` are added. */
export function writeRecipe(folder: string, keys: Record<string, unknown> = {}, name = 'small.yaml'): string {
  const recipe = {
    model: 'model',
    data: { kind: 'arithmetic', levels: [1], train: 20, validation: 4, test: 4 },
    modes: ['hard', 'soft'],
    steps: 6,
    questionsPerStep: 2,
    samples: 4,
    caps: { thought: 12, answer: 4 },
    optimizer: { learningRate: 0.01, warmup: 1 },
    validateEvery: 2,
    checkpointEvery: 2,
    workers: 1,
    engine: 'wasm',
    ...keys,
  };
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(recipe, null, 2)); // JSON is YAML
  return file;
}

/** A warm-up recipe for the model in `folder`. */
export function writeSftRecipe(folder: string, keys: Record<string, unknown>): string {
  const recipe = {
    model: 'model',
    data: { kind: 'arithmetic', levels: [1], train: 16 },
    batchSize: 2,
    optimizer: { learningRate: 0.001, warmup: 1 },
    engine: 'wasm',
    out: 'warm',
    ...keys,
  };
  const file = join(folder, 'sft.yaml');
  writeFileSync(file, JSON.stringify(recipe));
  return file;
}

const bin = fileURLToPath(new URL('../../dist/bin.js', import.meta.url));

/** Starts the built command line as a process of its own. */
export function start(argv: string[], { cwd, env = {} }: { cwd: string; env?: NodeJS.ProcessEnv }): ChildProcess {
  if (!existsSync(bin)) throw new Error('expected packages/cli/dist/bin.js, got none; run `npm run build` first');
  const { FORCE_COLOR: _, NO_COLOR: __, ...inherited } = process.env;
  return spawn(process.execPath, [bin, ...argv], {
    cwd,
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Waits for a process; what it wrote, and how it ended. */
export function finished(
  child: ChildProcess,
): Promise<{ code: number | null; signal: string | null; out: string; notes: string }> {
  const written = { out: '', notes: '' };
  child.stdout?.on('data', (chunk) => {
    written.out += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    written.notes += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...written }));
  });
}

/** Waits until something holds. */
export async function until(holds: () => boolean, what: string, seconds = 30): Promise<void> {
  const deadline = Date.now() + 1000 * seconds;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`expected ${what} within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What an evaluation came to, where only pass@k matters. */
export function summaryOf(
  setting: SettingName,
  samples: number,
  passAtK: readonly { k: number; value: number }[],
): SettingSummary {
  return {
    setting,
    samples,
    passAtK: passAtK.map(({ k, value }) => ({ k, value, low: value, high: value })),
    majority: [...passAtK],
    boxed: 1,
    thoughtEnd: { phrase: 1, cap: 0 },
    answerEnd: { closed: 1, end: 0, cap: 0 },
    thoughtTokens: { mean: 9, p10: 9, p50: 9, p90: 9, max: 9 },
    entropy: { mean: [0.5], count: [1] },
  };
}
