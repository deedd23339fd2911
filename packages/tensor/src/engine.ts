// Which engine computes. An engine is a tfjs backend and the way to get it going; tfjs holds one at a time, process-wide
// (thread-wide in worker threads), and every tensor follows when it changes.
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
// Registers the gradients of tfjs and its operations as methods of tensors, both of which its Node build leaves out.
// Static, so it happens once.
import '#gradients';
import { registerWasmKernels } from './kernels/wasm.js';

/** The engines, fastest first: the order in which `auto` tries them. */
export const engineNames = ['tensorflow-gpu', 'tensorflow', 'native', 'wasm', 'cpu'] as const;

/** The name of an engine. */
export type EngineName = (typeof engineNames)[number];

/** What `useEngine` chose. */
export interface EngineReport {
  readonly name: EngineName;
  /** The name of the tfjs backend under the engine, `tf.getBackend()`. */
  readonly backend: string;
  /** The engines that `auto` tried before this one, and why each does not work here; empty for a named engine. */
  readonly tried: readonly { readonly name: EngineName; readonly reason: string }[];
}

/** How an engine computes. */
export interface EngineOptions {
  /**
   * Threads of the engine `native`, 1 to 256; the others choose theirs themselves. Default: the environment variable
   * SOFT_TOKENS_THREADS, else the cores that the process may use. No result depends on it.
   */
  readonly threads?: number | undefined;
}

interface Engine {
  /** The tfjs backend. */
  readonly backend: string;
  /** Registers the backend. Throws what keeps it from working; may be called again. */
  load(threads?: number): Promise<void>;
  /** Looks at the backend once it runs. Throws what is wrong with it. */
  check?(backend: object): void;
}

/** What the TensorFlow backends tell of themselves: tfjs-node/src/nodejs_kernel_backend.ts, tfjs 4.22. */
interface TensorFlowBackend {
  readonly isGPUPackage?: boolean;
  readonly isUsingGpuDevice?: boolean;
}

const require = createRequire(import.meta.url);

// Both TensorFlow packages serve the backend name 'tensorflow' and the first one loaded keeps it, so each entry checks
// what is really running.
const engines: Readonly<Record<EngineName, Engine>> = {
  'tensorflow-gpu': {
    backend: 'tensorflow',
    load: () => loadTensorFlow('@tensorflow/tfjs-node-gpu'),
    check(backend: TensorFlowBackend) {
      if (backend.isUsingGpuDevice) return;
      if (!backend.isGPUPackage) throw new Error('@tensorflow/tfjs-node already serves this process; start a new one');
      throw new Error('@tensorflow/tfjs-node-gpu sees no GPU (check the driver, CUDA and cuDNN)');
    },
  },
  tensorflow: {
    backend: 'tensorflow',
    load: () => loadTensorFlow('@tensorflow/tfjs-node'),
    check(backend: TensorFlowBackend) {
      if (backend.isUsingGpuDevice) throw new Error('TensorFlow already runs on the GPU here; start a new process');
    },
  },
  native: {
    backend: 'native',
    async load(threads) {
      const { chosenThreads, registerNative } = await import('./native/register.js');
      const count = chosenThreads(threads);
      registerNative().setThreads(count);
    },
  },
  wasm: {
    backend: 'wasm',
    async load() {
      const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
      registerWasmKernels();
      // Once: after an initialisation that failed, setWasmPaths throws and would hide the cause.
      if (wasmPathIsSet) return;
      wasmPathIsSet = true;
      setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
    },
  },
  cpu: {
    backend: 'cpu',
    async load() {
      await import('@tensorflow/tfjs-backend-cpu');
    },
  },
};

let wasmPathIsSet = false;
let current: EngineReport | undefined;
let lastCall: Promise<unknown> = Promise.resolve();

/**
 * Chooses the engine that computes from here on, and reports it.
 *
 * `auto` takes the first that works in the order of `engineNames`; a named engine is taken or refused. "Works" means:
 * it loads, it multiplies two small matrices right and, for `tensorflow-gpu`, it sees a GPU. May be called again at any
 * time: tensors made on another engine stay readable. A refused engine leaves the engine as it was. Nothing is printed.
 *
 * @throws RangeError if `name` is no engine; Error if the named engine, or with `auto` every engine, does not work.
 *
 * ```ts
 * const { name, tried } = await useEngine('auto');
 * console.log(name, tried.map((engine) => `${engine.name}: ${engine.reason}`));
 * ```
 */
export function useEngine(name: EngineName | 'auto', { threads }: EngineOptions = {}): Promise<EngineReport> {
  // The engine is global: calls that overlap run one after the other, or each would check the backend of another.
  const call = lastCall.then(() => choose(name, threads));
  lastCall = call.catch(() => {});
  return call;
}

/** Bytes of the tensors of an engine. */
export interface EngineMemory {
  /** Of tensors alive. */
  readonly live: number;
  /** Kept for the next ones. */
  readonly idle: number;
  /** The most that were ever alive at once. */
  readonly peak: number;
}

let mostBytes = 0;

/**
 * The memory that the engine's tensors take, in bytes. `native` counts what its kernels made and keeps some for the
 * next; the other engines keep nothing, and their peak is the most that a call of this function has met.
 *
 * @example engineMemory(); // { live: 1048576, idle: 0, peak: 4194304 }
 */
export function engineMemory(): EngineMemory {
  const own = (tf.backend() as { engineMemory?: EngineMemory }).engineMemory;
  if (own) return own;
  const live = tf.memory().numBytes;
  mostBytes = Math.max(mostBytes, live);
  return { live, idle: 0, peak: mostBytes };
}

/** What the last successful `useEngine` chose; undefined before the first. */
export function currentEngine(): EngineReport | undefined {
  return current;
}

async function choose(name: EngineName | 'auto', threads?: number): Promise<EngineReport> {
  if (name !== 'auto' && !Object.hasOwn(engines, name)) {
    const names = ['auto', ...engineNames].join(', ');
    throw new RangeError(`useEngine: expected one of ${names}, got ${JSON.stringify(name)}; choose one of them`);
  }
  tf.enableProdMode(); // or the backends greet on the console

  const before = tf.engine().backendName as string | null;
  const tried: { name: EngineName; reason: string }[] = [];
  for (const candidate of name === 'auto' ? engineNames : [name]) {
    try {
      await start(engines[candidate], threads);
      current = { name: candidate, backend: engines[candidate].backend, tried };
      return current;
    } catch (error) {
      tried.push({ name: candidate, reason: reasonOf(error) });
    }
  }

  if (before) await tf.setBackend(before);
  if (name === 'auto') {
    const reasons = tried.map((engine) => `${engine.name}: ${engine.reason}`).join('; ');
    throw new Error(`useEngine: expected an engine that works, got none (${reasons}); reinstall @soft-tokens/tensor`);
  }
  throw new Error(
    `useEngine: expected the engine '${name}' to work, got: ${tried[0]?.reason}; ` +
      `mend that, or choose 'auto' for the fastest that works`,
  );
}

async function start({ backend, load, check }: Engine, threads?: number): Promise<void> {
  await load(threads);
  if (!(await tf.setBackend(backend))) throw new Error(`the tfjs backend '${backend}' does not start`);
  check?.(tf.backend());
  const product = tf.tidy(() =>
    tf
      .matMul(
        tf.tensor2d([
          [1, 2],
          [3, 4],
        ]),
        tf.tensor2d([[5], [6]]),
      )
      .dataSync(),
  );
  if (product[0] !== 17 || product[1] !== 39) {
    throw new Error(`the tfjs backend '${backend}' computes [17, 39] as [${product.join(', ')}]`);
  }
}

async function loadTensorFlow(peer: string): Promise<void> {
  // libtensorflow writes its notices on standard error unless told before it loads.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  try {
    require(peer); // CommonJS, so require and import give one instance; bundlers and test runners leave it alone
  } catch (error) {
    const message = messageOf(error);
    // With the name in quotes: a dependency that the peer misses is another message.
    if (message.includes(`Cannot find module '${peer}'`)) throw new Error(`${peer} is not installed`);
    if (/native addon/i.test(message)) {
      throw new Error(`${peer} is installed without its native addon (run its install script: npm rebuild ${peer})`);
    }
    throw error;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The first line: the messages of the native packages run on. */
const reasonOf = (error: unknown): string => messageOf(error).trim().split('\n')[0] ?? '';
