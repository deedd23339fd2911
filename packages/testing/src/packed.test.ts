// The packages as their users get them: packed, installed alone into an empty folder, and used.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const packages = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'soft-tokens-packed-'));

const run = (command: string, args: string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, CI: 'true' }, stdio: 'pipe' });

/** Packs a package and gives the tarball's path. */
function pack(name: string): string {
  const before = new Set(readdirSync(folder));
  run('pnpm', ['pack', '--pack-destination', folder], join(packages, name));
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz') && !before.has(file));
  if (!tarball) throw new Error(`pack: expected a tarball of ${name} in ${folder}, got none`);
  return join(folder, tarball);
}

/** Installs tarballs, and nothing else of ours, into an empty folder. */
function install(name: string, tarballs: string[]): string {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...tarballs], project);
  return project;
}

const evaluate = (project: string, source: string): unknown =>
  JSON.parse(run(process.execPath, ['--input-type=module', '--eval', source], project));

describe('packed, installed alone', () => {
  const tarballs: Record<string, string> = {};
  beforeAll(() => {
    for (const name of ['tensor', 'samplers', 'metrics', 'datasets']) tarballs[name] = pack(name);
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('metrics', () => {
    const project = install('metrics', [tarballs.metrics!]);
    const source = `
      import { passAtK, verify } from '@soft-tokens/metrics';
      console.log(JSON.stringify([passAtK(4, 1, 2), verify('\\\\boxed{1/2}', '0.5').correct]));`;
    expect(evaluate(project, source)).toEqual([0.5, true]);
    expect(readdirSync(join(project, 'node_modules', '@soft-tokens'))).toEqual(['metrics']);
  }, 120_000);

  test('datasets', () => {
    const project = install('datasets', [tarballs.datasets!]);
    const source = `
      import { arithmetic } from '@soft-tokens/datasets';
      const [problem] = arithmetic({ split: 'test', count: 1, seed: 1, levels: [2] });
      console.log(JSON.stringify(problem.solution.endsWith('\\\\boxed{' + problem.answer + '}')));`;
    expect(evaluate(project, source)).toBe(true);
    expect(readdirSync(join(project, 'node_modules', '@soft-tokens'))).toEqual(['datasets']);
  }, 120_000);

  test('samplers, with the tensor package that they stand on', () => {
    const project = install('samplers', [tarballs.tensor!, tarballs.samplers!]);
    const source = `
      import * as tf from '@tensorflow/tfjs-core';
      import { createNoise, useEngine } from '@soft-tokens/tensor';
      import { soft } from '@soft-tokens/samplers';
      await useEngine('wasm');
      const E = tf.tensor2d([[1, 0], [0, 1], [-1, -1]]);
      const model = {
        vocabSize: 3, hiddenSize: 2,
        embed: (ids) => tf.gather(E, ids), mix: (weights) => tf.matMul(weights, E),
        head: { logits: () => tf.tensor2d([[2, 1, 0]]) },
      };
      const noise = createNoise({ seed: 1, step: 0, samples: Int32Array.of(0), position: 0, stream: 0 });
      const { input, shadow } = soft({ temperature: 0.5, noiseScale: 0 }).step(tf.zeros([1, 2]), model, noise);
      const gradient = tf.grad((x) => tf.sum(tf.square(x)))(input);
      console.log(JSON.stringify({ input: [...input.dataSync()], shadow: [...shadow], gradient: [...gradient.dataSync()] }));`;
    const { input, shadow, gradient } = evaluate(project, source) as Record<string, number[]>;
    // Worked by hand: z = [2, 1, 0], τ = 0.5, E as above.
    expect(input![0]).toBeCloseTo(0.8509370922, 6);
    expect(input![1]).toBeCloseTo(0.1014341878, 6);
    expect(shadow).toEqual([0]);
    expect(gradient![0]).toBeCloseTo(2 * 0.8509370922, 5);
  }, 120_000);
});
