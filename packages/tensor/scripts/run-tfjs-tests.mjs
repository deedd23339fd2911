// Runs the tests of tfjs-core on an engine of this package, as built in dist/:
//
//   node scripts/run-tfjs-tests.mjs ENGINE [FILTER]     such as: node scripts/run-tfjs-tests.mjs native matmul
//
// FILTER keeps the tests whose full name contains it, in any case. Exit code 0 if tests ran and none failed, 1
// otherwise. Started by `fork`, it sends its result as a message too.
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import jasmineRequire from 'jasmine-core'; // version 3, which the tests were written for; 7 has no such `boot`
import { useEngine } from '../dist/index.js';
import { bundleTfjsTests } from './bundle-tfjs-tests.mjs';

const require = createRequire(import.meta.url);
const [engine, filter = ''] = process.argv.slice(2);

/** Loads the bundle, which describes its tests to jasmine; they name `backend` as what they run on. */
async function loadTests(backend) {
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-tests-'));
  try {
    const file = join(folder, 'tests.cjs');
    await bundleTfjsTests(file);
    const { setTestEnvs, loadTests } = require(file);
    setTestEnvs([{ name: backend, backendName: backend, flags: {}, isDataSync: true }]);
    loadTests();
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Counts the calls of the backend's kernels by name: the proof that the tests ran on it. */
function countKernelCalls(backend) {
  const calls = new Map();
  for (const kernel of tf.getKernelsForBackend(backend)) {
    const { kernelName, kernelFunc } = kernel;
    tf.unregisterKernel(kernelName, backend); // or registering it again prints a warning
    tf.registerKernel({
      ...kernel,
      kernelFunc(call) {
        calls.set(kernelName, (calls.get(kernelName) ?? 0) + 1);
        return kernelFunc(call);
      },
    });
  }
  return calls;
}

/** Runs what jasmine was told of, in the order in which it was told. */
async function runTests(jasmine) {
  const failed = [];
  let passed = 0;
  const noteFailure = ({ fullName, failedExpectations }) => {
    if (failedExpectations.length === 0) return;
    failed.push({ name: fullName, messages: failedExpectations.map(({ message }) => message) });
  };
  jasmine.getEnv().configure({
    random: false,
    specFilter: (spec) => spec.getFullName().toLowerCase().includes(filter.toLowerCase()),
  });
  jasmine.getEnv().addReporter({
    specDone(spec) {
      if (spec.status === 'passed') passed++;
      noteFailure(spec);
    },
    // What fails outside of a spec, as in beforeAll.
    suiteDone: noteFailure,
    jasmineDone: (result) => noteFailure({ fullName: 'outside of all suites', ...result }),
  });
  await jasmine.getEnv().execute();
  return { passed, failed };
}

const { backend } = await useEngine(engine);
const jasmine = jasmineRequire.boot(jasmineRequire);
await loadTests(backend);
const kernelCalls = countKernelCalls(backend);
const result = { ...(await runTests(jasmine)), kernelCalls: Object.fromEntries(kernelCalls) };

for (const { name, messages } of result.failed) console.log(`FAILED ${name}\n  ${messages.join('\n  ')}`);
const calls = [...kernelCalls.values()].reduce((sum, count) => sum + count, 0);
console.log(
  `${result.passed} passed, ${result.failed.length} failed; ` +
    `${calls} calls of ${kernelCalls.size} kernels of the backend '${backend}'`,
);
process.exitCode = result.passed > 0 && result.failed.length === 0 ? 0 : 1;
if (process.send) process.send(result, () => process.disconnect());
