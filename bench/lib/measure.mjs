// What the benchmarks share: processes of their own, medians with their spread, and what the machine is.
import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What a process prints on standard output, as JSON. Its errors come through. */
export async function json(command, args, env = {}) {
  const { stdout } = await execute(command, args, {
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28,
  });
  return JSON.parse(stdout);
}

const sorted = (values) => [...values].sort((a, b) => a - b);

/** The middle of some numbers; of an even count, the mean of the two in the middle. */
export function median(values) {
  const half = values.length / 2;
  return (sorted(values)[Math.ceil(half) - 1] + sorted(values)[Math.floor(half)]) / 2;
}

/** "median (least to most)". */
export function spread(values, digits = 2) {
  const [least, most] = [sorted(values)[0], sorted(values).at(-1)];
  return `${median(values).toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

/** The mean of ratios. */
export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Runs each job once a round, every other round in the opposite order; a job's results in the order of the rounds. */
export async function alternate(jobs, rounds, run) {
  const results = new Map(jobs.map((job) => [job, []]));
  for (let round = 0; round < rounds; round++) {
    for (const job of round % 2 === 0 ? jobs : [...jobs].reverse()) results.get(job).push(await run(job, round));
  }
  return results;
}

export function machine() {
  return `${cpus()[0].model.trim()}, ${cpus().length} cores; Node ${process.version}`;
}

/** Lines of a Markdown table. */
export function table(header, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
