import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkGradient, eachEngine, expectClose, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { currentEngine, type EngineName, engineNames, useEngine } from './engine.js';
import { chosenThreads } from './native/register.js';

const require = createRequire(import.meta.url);
const dist = (file: string) => fileURLToPath(new URL(`../dist/${file}`, import.meta.url));

describe('useEngine', () => {
  test('auto takes the first that works and says why not the ones before', async () => {
    const report = await useEngine('auto');
    expect(report.tried.map(({ name }) => name)).toEqual(engineNames.slice(0, engineNames.indexOf(report.name)));
    for (const { name, reason } of report.tried) {
      expect(reason).toMatch(/^[^\n]+$/);
      // One that auto passes over is one that cannot be had by name.
      await expect(useEngine(name)).rejects.toThrow(reason);
    }
    expect(engineNames.indexOf(report.name)).toBeLessThanOrEqual(engineNames.indexOf('wasm'));
    expect(tf.getBackend()).toBe(report.backend);
    expect(currentEngine()).toBe(report);
  });

  test('native computes with as many threads as it is told, and refuses what is no number', async () => {
    await expect(useEngine('native', { threads: 0 })).rejects.toThrow(
      'threads: expected an integer in 1..256, got 0; leave it out for all cores',
    );
    expect(chosenThreads(3, '2')).toBe(3);
    expect(chosenThreads(undefined, '2')).toBe(2);
    expect(chosenThreads(undefined, '')).toBe(availableParallelism());
    expect(() => chosenThreads(undefined, 'two')).toThrow(
      'SOFT_TOKENS_THREADS: expected an integer in 1..256, got two',
    );
  });

  test('an unknown name lists the known ones', async () => {
    await expect(useEngine('gpu' as EngineName)).rejects.toThrow(
      'useEngine: expected one of auto, tensorflow-gpu, tensorflow, native, wasm, cpu, got "gpu"',
    );
    await expect(useEngine('toString' as EngineName)).rejects.toThrow(RangeError);
  });

  test('a refusal leaves the engine as it was', async () => {
    const report = await useEngine('cpu');
    await expect(useEngine('native', { threads: -1 })).rejects.toThrow();
    expect(currentEngine()).toBe(report);
    expect(tf.getBackend()).toBe('cpu');
    expectClose(tf.add([1], [2]), [3]);
  });

  test('tensors stay readable and usable across engines', async () => {
    await useEngine('cpu');
    const fromCpu = tf.tensor1d([1, 2, 3]);
    await useEngine('wasm');
    const fromWasm = fromCpu.mul(2);
    await useEngine('cpu');
    expectClose(fromWasm.add(fromCpu), [3, 6, 9]);
  });

  test('so does a refusal after the backend has started', async () => {
    const report = await useEngine('cpu');
    const kernel = tf.getKernel('BatchMatMul', 'wasm')!;
    tf.unregisterKernel('BatchMatMul', 'wasm');
    try {
      await expect(useEngine('wasm')).rejects.toThrow(/expected the engine 'wasm' to work, got: .*BatchMatMul/);
      expect(currentEngine()).toBe(report);
      expect(tf.getBackend()).toBe('cpu');
      // `auto` tells the same, where nothing faster works.
      const { name, tried } = await useEngine('auto');
      if (name === 'cpu') {
        expect(tried.at(-1)).toMatchObject({ name: 'wasm', reason: expect.stringMatching(/BatchMatMul/) });
      }
    } finally {
      tf.registerKernel(kernel);
    }
    await useEngine('wasm');
  });
});

eachEngine(useEngine, (engine) => {
  test('computes on the backend it reports', () => {
    expect(currentEngine()).toMatchObject({ name: engine, backend: tf.getBackend(), tried: [] });
  });

  test('gradients and methods of tensors are registered', () => {
    expectClose(tf.grad((x) => x.square().sum())(tf.tensor1d([1, 2, 3])), [2, 4, 6]);
  });

  test('a whole language model is differentiable', () => {
    const model = tinyModel({ vocabSize: 7, hiddenSize: 5, seed: 2 });
    const ids = tf.tensor2d([[1, 4, 2, 6]], [1, 4], 'int32');
    const score = (...parameters: tf.Tensor[]) => {
      model.variables.forEach((variable, i) => {
        variable.assign(parameters[i]!);
      });
      return tf.neg(model.head.logProb(model.forward(model.embed(ids) as tf.Tensor3D), ids, 0.9));
    };
    const values = model.variables.map((variable) => variable.clone());
    const { grads } = tf.variableGrads(() => score(...values).sum() as tf.Scalar, model.variables);
    const byName = model.variables.map(({ name }) => grads[name]!);
    // The same numbers as tfjs, from differences: the variables stand for the inputs.
    const f = tf.customGrad((...all) => {
      const inputs = all.slice(0, -1) as tf.Tensor[];
      return {
        value: score(...inputs).sum(),
        gradFunc: (dy) => byName.map((gradient) => gradient.mul(dy)),
      };
    });
    checkGradient(f, values);
    model.dispose();
  });
});

describe('built', () => {
  /** The built package in plain Node, where resolution is another than the test runner's. */
  const run = (code: string, env: NodeJS.ProcessEnv = {}) => {
    const cwd = fileURLToPath(new URL('..', import.meta.url));
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    expect(stderr).toBe('');
    return stdout;
  };
  const useAll = `
    import * as tf from '@tensorflow/tfjs-core';
    import { useEngine } from './dist/engine.js';
    const seen = [];
    for (const name of ['cpu', 'wasm', 'cpu', 'auto']) {
      await useEngine(name);
      seen.push(tf.getBackend(), ...tf.grad((x) => x.square().sum())(tf.tensor1d([1, 2])).dataSync());
    }`;

  test.runIf(existsSync(dist('engine.js')))('prints nothing and has gradients in plain Node', () => {
    const printed = run(`${useAll} process.stdout.write(JSON.stringify(seen.slice(0, 9)));`);
    expect(printed).toBe('["cpu",2,4,"wasm",2,4,"cpu",2,4]');
  });

  test.runIf(existsSync(dist('engine.js')))('works in worker threads', () => {
    const printed = run(`
      import { Worker } from 'node:worker_threads';
      const code = ${JSON.stringify(`${useAll} import { parentPort } from 'node:worker_threads'; parentPort.postMessage(seen.slice(0, 9));`)};
      const url = new URL('data:text/javascript,' + encodeURIComponent(code
        .replace('./dist/engine.js', import.meta.resolve('./dist/engine.js'))
        .replace('@tensorflow/tfjs-core', import.meta.resolve('@tensorflow/tfjs-core'))));
      const answers = await Promise.all([0, 1].map(() => new Promise((resolve, reject) => {
        new Worker(url).once('message', resolve).once('error', reject);
      })));
      process.stdout.write(JSON.stringify(answers));`);
    expect(printed).toBe('[["cpu",2,4,"wasm",2,4,"cpu",2,4],["cpu",2,4,"wasm",2,4,"cpu",2,4]]');
  });

  // tfjs-node is too large to install for a test: packages that act like it, found through NODE_PATH.
  test.runIf(existsSync(dist('engine.js')))('TensorFlow is taken if it works, and says why if not', async () => {
    const modules = await mkdtemp(join(tmpdir(), 'soft-tokens-'));
    const install = async (name: string, code: string) => {
      await mkdir(join(modules, '@tensorflow', name), { recursive: true });
      await writeFile(join(modules, '@tensorflow', name, 'index.js'), code);
    };
    const acting = (backend: object) => `
      const tf = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-core'))});
      const { MathBackendCPU } = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-backend-cpu'))});
      tf.registerBackend('tensorflow', () => Object.assign(new MathBackendCPU(), ${JSON.stringify(backend)}));
      tf.copyRegisteredKernels('cpu', 'tensorflow');`;
    const report = () =>
      run(
        `import { useEngine } from './dist/engine.js';
        const { name, tried } = await useEngine('auto');
        process.stdout.write([name, ...tried.slice(0, 2).map(({ reason }) => reason)].join('\\n'));`,
        { NODE_PATH: modules },
      ).split('\n');
    try {
      await install('tfjs-node-gpu', acting({ isGPUPackage: true, isUsingGpuDevice: true }));
      expect(report()).toEqual(['tensorflow-gpu']);

      await install('tfjs-node-gpu', "require('libtensorflow');");
      await install('tfjs-node', acting({ isGPUPackage: false, isUsingGpuDevice: false }));
      expect(report()).toEqual(['tensorflow', "Cannot find module 'libtensorflow'"]);

      await install('tfjs-node-gpu', acting({ isGPUPackage: true, isUsingGpuDevice: false }));
      await install(
        'tfjs-node',
        "throw new Error('The Node.js native addon module (tfjs_binding.node) can not be found at path: x. \\nPlease');",
      );
      const [name, ...reasons] = report();
      expect(['native', 'wasm']).toContain(name); // native where it is compiled
      expect(reasons).toEqual([
        '@tensorflow/tfjs-node-gpu sees no GPU (check the driver, CUDA and cuDNN)',
        '@tensorflow/tfjs-node is installed without its native addon (run its install script: npm rebuild @tensorflow/tfjs-node)',
      ]);
    } finally {
      await rm(modules, { recursive: true, force: true });
    }
  });

  test.runIf(existsSync(dist('engine.js')))('calls that overlap run one after the other', () => {
    const printed = run(`
      import { currentEngine, useEngine } from './dist/engine.js';
      const reports = await Promise.all(['wasm', 'cpu', 'wasm', 'cpu'].map((name) => useEngine(name)));
      process.stdout.write([...reports, currentEngine()].map(({ name }) => name).join());`);
    expect(printed).toBe('wasm,cpu,wasm,cpu,cpu');
  });
});
