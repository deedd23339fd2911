// What src/native/threads.test.ts asks of a process of its own, by name; prints the answer as JSON.
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { useEngine } from '../dist/index.js';
import { loadAddon } from '../dist/native/addon.js';

const THREADS = 3;

/** Large enough that the threads share each product. */
const SIZE = 160;

/** How many elements of `count` products come out wrong: of small integers, so that every sum is exact in float32. */
function wrongElements(seed, count) {
  const matrix = (step) => Float32Array.from({ length: SIZE * SIZE }, (_, i) => ((i * step + seed) % 17) - 8);
  const [a, b] = [matrix(7), matrix(11)];
  const want = new Float32Array(SIZE * SIZE);
  for (let m = 0; m < SIZE; m++) {
    for (let k = 0; k < SIZE; k++) {
      for (let n = 0; n < SIZE; n++) want[m * SIZE + n] += a[m * SIZE + k] * b[k * SIZE + n];
    }
  }
  let wrong = 0;
  for (let i = 0; i < count; i++) {
    const got = tf.tidy(() => tf.matMul(tf.tensor2d(a, [SIZE, SIZE]), tf.tensor2d(b, [SIZE, SIZE])).dataSync());
    wrong += got.filter((x, j) => x !== want[j]).length;
  }
  return wrong;
}

const startWorker = (seed, products) =>
  new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), workerData: { seed, products } });

/** What a worker found, once it has ended. */
const answerOf = (worker) =>
  new Promise((resolve, reject) => {
    let answer;
    worker.on('message', (message) => {
      if (message !== 'started') answer = message;
    });
    worker.once('error', reject);
    worker.once('exit', () => resolve(answer));
  });

/** Ends a worker amid its products. */
async function cutShort(seed) {
  const worker = startWorker(seed, 1e9);
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await sleep(20);
  await worker.terminate();
}

const checks = {
  /** Two workers and the main thread at once, and again after a worker was ended amid its work. */
  async together() {
    await useEngine('native', { threads: THREADS });
    const wrong = [];
    for (const round of [0, 1]) {
      const answers = [1, 2].map((seed) => answerOf(startWorker(seed + 2 * round, 40)));
      const cut = cutShort(5);
      let done = false;
      const all = Promise.all([...answers, cut]).finally(() => {
        done = true;
      });
      while (!done) {
        wrong.push(wrongElements(6, 5));
        await sleep(0);
      }
      wrong.push(...(await all).slice(0, 2));
    }
    return wrong;
  },

  /** The main thread loads nothing until every worker that did is gone, several times over. */
  async workersFirst() {
    const wrong = [];
    for (const round of [0, 1, 2]) {
      wrong.push(...(await Promise.all([1, 2].map((seed) => answerOf(startWorker(seed + 2 * round, 20))))));
      await cutShort(7);
    }
    await useEngine('native', { threads: THREADS });
    return [...wrong, wrongElements(8, 20)];
  },

  /** The one worker that loaded the addon ends and leaves the threads behind; their code must stay with them. */
  async threadsOutlive() {
    await answerOf(startWorker('squares', 20));
    await sleep(100);
    // Asleep, they would not notice at once: what is mapped tells, where the system does.
    const gone = existsSync('/proc/self/maps') && !readFileSync('/proc/self/maps', 'utf8').includes('soft-tokens.node');
    await useEngine('native', { threads: THREADS });
    return [Number(gone), wrongElements(9, 20)];
  },

  /** The processor time that the process takes while it waits, as a share of the time, in windows of 300 ms. */
  async idle() {
    await useEngine('native', { threads: THREADS });
    const shares = [];
    for (let window = 0; window < 5; window++) {
      wrongElements(1, 3);
      const [start, before] = [performance.now(), process.cpuUsage()];
      await sleep(300);
      const { user, system } = process.cpuUsage(before);
      shares.push((user + system) / 1000 / (performance.now() - start));
    }
    return shares;
  },
};

/** Shared work of a kernel that keeps no memory of its own, on the addon alone: `useEngine` multiplies matrices. */
function squares(count) {
  const { kernels, setThreads } = loadAddon();
  setThreads(THREADS);
  const [x, y] = [new Float32Array(1 << 20), new Float32Array(1 << 20)];
  for (let i = 0; i < count; i++) kernels.square([x, y], [x.length]);
}

if (isMainThread) {
  process.stdout.write(JSON.stringify(await checks[process.argv[2]]()));
} else if (workerData.seed === 'squares') {
  squares(workerData.products);
} else {
  await useEngine('native', { threads: THREADS });
  parentPort.postMessage('started');
  parentPort.postMessage(wrongElements(workerData.seed, workerData.products));
}
