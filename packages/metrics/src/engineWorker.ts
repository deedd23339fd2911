/**
 * What the worker of `createVerifier` runs: text, so that it needs no file of its own beside the sources and the
 * build. `workerData` is the engine's path; a message is a pair of formulas, its reply whether they are equal: the
 * same expression, the same value, or a difference that expands and simplifies to 0. What cannot be read is not equal.
 */
export const engineWorkerCode = `
const { parentPort, workerData } = require('node:worker_threads');
const { ComputeEngine } = require(workerData);
const engine = new ComputeEngine();
const equal = ([left, right]) => {
  const [a, b] = [engine.parse(left), engine.parse(right)];
  if (!a.isValid || !b.isValid) return false;
  if (a.isSame(b) || a.isEqual(b) === true) return true;
  const difference = engine.function('Expand', [engine.function('Subtract', [a, b])]);
  return difference.evaluate().simplify().isSame(0);
};
parentPort.on('message', (pair) => {
  let answer = false;
  try {
    answer = equal(pair);
  } catch {}
  parentPort.postMessage(answer);
});
parentPort.postMessage('ready');
`;
