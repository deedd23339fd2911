import { expect, test, vi } from 'vitest';
import { type Job, type Runner, runJobs } from './scheduler.js';

const job = (name: string, needs: string[] = [], priority = 0, group = ''): Job<string> => ({
  name,
  needs,
  priority,
  group,
  task: name,
});

/** A runner that notes when tasks begin and end, and takes as many ticks as told. */
function recorder(log: string[], label: string, ticks: (task: string) => number = () => 1): Runner<string> {
  return {
    async run(task) {
      log.push(`${label}+${task}`);
      for (let i = 0; i < ticks(task); i++) await new Promise((resolve) => setImmediate(resolve));
      log.push(`${label}-${task}`);
    },
  };
}

test('a job waits for what it needs', async () => {
  const log: string[] = [];
  await runJobs([job('b', ['a']), job('c', ['b']), job('a')], [recorder(log, 'x'), recorder(log, 'y')], {
    stop: () => {},
  });
  const order = log.map((entry) => entry.slice(1));
  expect(order).toEqual(['+a', '-a', '+b', '-b', '+c', '-c']);
});

test('two runners work side by side', async () => {
  const log: string[] = [];
  await runJobs([job('a'), job('b')], [recorder(log, 'x'), recorder(log, 'y')], { stop: () => {} });
  expect(log).toEqual(['x+a', 'y+b', 'x-a', 'y-b']);
});

test('priority first, then the group the runner is at', async () => {
  const log: string[] = [];
  const jobs = [job('a1', [], 1, 'a'), job('b1', [], 1, 'b'), job('a2', [], 1, 'a'), job('top', [], 2, 'b')];
  await runJobs(jobs, [recorder(log, 'x')], { stop: () => {} });
  expect(log.filter((entry) => entry[1] === '+').map((entry) => entry.slice(2))).toEqual(['top', 'b1', 'a1', 'a2']);
});

test('the first failure stops the others and is what is thrown', async () => {
  const log: string[] = [];
  const stop = vi.fn();
  const failing: Runner<string> = {
    async run() {
      throw new Error('no weights');
    },
  };
  const jobs = [job('a'), job('b'), job('c', ['a'])];
  await expect(runJobs(jobs, [failing, recorder(log, 'y')], { stop })).rejects.toThrow('no weights');
  expect(stop).toHaveBeenCalledOnce();
  expect(log).toEqual(['y+b', 'y-b']); // what was running ended; what waited never began
});

test('an idle runner takes up what a finished job lets go', async () => {
  const log: string[] = [];
  const jobs = [job('long'), job('short'), job('after', ['short'])];
  await runJobs(jobs, [recorder(log, 'x', (task) => (task === 'long' ? 20 : 1)), recorder(log, 'y')], {
    stop: () => {},
  });
  expect(log.indexOf('y+after')).toBeLessThan(log.indexOf('x-long'));
});

test('needs that cannot be met are errors', async () => {
  await expect(runJobs([job('a', ['zzz'])], [recorder([], 'x')], { stop: () => {} })).rejects.toThrow('got zzz');
  const circle = [job('a', ['b']), job('b', ['a'])];
  await expect(runJobs(circle, [recorder([], 'x')], { stop: () => {} })).rejects.toThrow('wait for each other');
});
