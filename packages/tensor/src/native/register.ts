// Puts the backend 'native' together: tfjs's JavaScript kernels, then ours over them.
import { availableParallelism } from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { type Addon, loadAddon } from './addon.js';
import { attentionKernels } from './attention.js';
import { NativeBackend, type Run } from './backend.js';
import { constantKernels } from './constants.js';
import { elementwiseKernels } from './elementwise.js';
import { fusedKernels } from './fused.js';
import { layoutKernels } from './layout.js';
import { matMulKernels } from './matMul.js';
import { noiseKernels } from './noise.js';
import { reduceKernels } from './reduce.js';

let addon: Addon | undefined;

/**
 * Registers the backend 'native'. May be called again.
 *
 * @throws Error when the kernels are not compiled, or not for this machine.
 */
export function registerNative(): Addon {
  if (addon) return addon;
  const loaded = loadAddon();
  tf.registerBackend('native', () => new NativeBackend(loaded), 0);
  tf.copyRegisteredKernels('cpu', 'native');
  const tables = [
    ...[fusedKernels, attentionKernels, matMulKernels, elementwiseKernels, reduceKernels, layoutKernels],
    ...[constantKernels, noiseKernels],
  ];
  for (const [kernelName, run] of tables.flatMap((table) => Object.entries(table))) register(kernelName, run, loaded);
  addon = loaded;
  return addon;
}

function register(kernelName: string, run: Run, { kernels }: Addon): void {
  const javascript = tf.getKernel(kernelName, 'cpu');
  if (javascript) tf.unregisterKernel(kernelName, 'native');
  tf.registerKernel({
    kernelName,
    backendName: 'native',
    kernelFunc: ({ inputs, backend, attrs }) =>
      run({
        inputs: inputs as Record<string, tf.TensorInfo>,
        backend: backend as NativeBackend,
        attrs: attrs ?? {},
        kernels,
        fallback: () => javascript.kernelFunc({ inputs, backend, attrs: attrs ?? {} }),
      }),
  });
}

/**
 * The threads that a process computes with: as asked for, else SOFT_TOKENS_THREADS, else the cores that it may use.
 *
 * @throws RangeError when SOFT_TOKENS_THREADS is no number from 1 to 256.
 */
export function chosenThreads(threads?: number, environment = process.env.SOFT_TOKENS_THREADS): number {
  if (threads === undefined && (environment === undefined || environment === '')) {
    return Math.min(256, availableParallelism());
  }
  const wanted = threads ?? Number(environment);
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= 256) return wanted;
  const [name, got] = threads === undefined ? ['SOFT_TOKENS_THREADS', environment] : ['threads', threads];
  throw new RangeError(`useEngine: ${name}: expected an integer in 1..256, got ${got}; leave it out for all cores`);
}
