import { availableParallelism, cpus, totalmem } from 'node:os';
import { Command } from '@commander-js/extra-typings';
import { type EngineMemory, type EngineReport, engineMemory, freeMemory, useEngine } from '@soft-tokens/tensor';
import { workerCount } from '../engine.js';
import { CliError, messageOf } from '../errors.js';
import type { Colors, Io } from '../io.js';
import { measureMatMul } from '../measure.js';
import { wrap } from '../table.js';
import { versions } from '../versions.js';
import { engineOption, examples, jsonOption } from './options.js';

/** The oldest Node release that is tested. */
const OLDEST_NODE = [20, 19] as const;

interface Check {
  name: string;
  ok: boolean;
  detail: string;
}

export function doctorCommand(io: Io): Command {
  const command = new Command('doctor')
    .description('what this machine has, which engine computes, how fast')
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `${examples('soft-tokens doctor', 'soft-tokens doctor --engine wasm --json')}\nExit code 1 when a check fails.\n`,
    )
    .action(async (flags) => {
      const engine = await tryEngine(flags.engine ?? 'auto');
      const speed = 'report' in engine ? await measureMatMul(384) : undefined;
      const checks = [nodeCheck(process.versions.node), engineCheck(engine, speed)];
      const report = {
        versions: versions(),
        platform: `${process.platform} ${process.arch}`,
        processor: cpus()[0]?.model.trim() ?? 'unknown',
        cores: availableParallelism(),
        memoryGiB: { total: gib(totalmem()), free: gib(freeMemory().bytes) },
        engine: 'report' in engine ? engine.report.name : null,
        notUsed: 'report' in engine ? engine.report.tried : [],
        workers: 'report' in engine ? workerCount('auto', engine.report.name) : null,
        tensorMemoryMiB: 'report' in engine ? tensorMemory() : null,
        matMulGflops: speed === undefined ? null : Number(speed.toFixed(1)),
        checks,
      };
      io.out(flags.json ? `${JSON.stringify(report)}\n` : describe(report, io.colors.out));
      const failed = checks.filter(({ ok }) => !ok);
      if (failed.length > 0)
        throw new CliError(`doctor: ${failed.map(({ name }) => name).join(', ')}: not as it should be`);
    });
  return command as unknown as Command;
}

/** What the engine's tensors take; the product that was measured is freed by now. */
function tensorMemory(): EngineMemory {
  const mib = (bytes: number) => Number((bytes / 2 ** 20).toFixed(1));
  const { live, idle, peak } = engineMemory();
  return { live: mib(live), idle: mib(idle), peak: mib(peak) };
}

type EngineOutcome = { report: EngineReport } | { reason: string };

async function tryEngine(name: Parameters<typeof useEngine>[0]): Promise<EngineOutcome> {
  try {
    return { report: await useEngine(name) };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

/** Whether a Node version is new enough. */
export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const ok = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  return {
    name: 'node',
    ok,
    detail: ok ? version : `expected >= ${OLDEST_NODE.join('.')}, got ${version}; install a newer Node`,
  };
}

function engineCheck(engine: EngineOutcome, speed: number | undefined): Check {
  if ('reason' in engine) return { name: 'engine', ok: false, detail: engine.reason };
  return {
    name: 'engine',
    ok: true,
    detail: `${engine.report.name}, ${speed?.toFixed(1)} GFLOP/s (384 × 384 product)`,
  };
}

const gib = (bytes: number) => Number((bytes / 2 ** 30).toFixed(1));

interface Report {
  versions: Record<string, string>;
  platform: string;
  processor: string;
  cores: number;
  memoryGiB: { total: number; free: number };
  tensorMemoryMiB: EngineMemory | null;
  notUsed: EngineReport['tried'];
  workers: number | null;
  checks: Check[];
}

function describe(report: Report, colors: Colors): string {
  const row = (name: string, text: string) =>
    `${name.padEnd(12)}${wrap(text, 68).replaceAll('\n', `\n${' '.repeat(12)}`)}\n`;
  const checks = report.checks.map(({ name, ok, detail }) =>
    row(name, ok ? `${colors.green('ok')} ${detail}` : `${colors.red('no')} ${detail}`),
  );
  const skipped = report.notUsed.map(({ name, reason }) => row('', `${name}: ${reason}`)).join('');
  return [
    row('soft-tokens', report.versions['soft-tokens']!),
    row('platform', `${report.platform}, ${report.processor}`),
    row(
      'cores',
      `${report.cores}${report.workers === null ? '' : `; a run uses ${report.workers} process${report.workers === 1 ? '' : 'es'}`}`,
    ),
    row('memory', `${report.memoryGiB.total} GiB, ${report.memoryGiB.free} free`),
    report.tensorMemoryMiB === null
      ? ''
      : row(
          'tensors',
          `${report.tensorMemoryMiB.live} MiB in use, ${report.tensorMemoryMiB.idle} MiB kept for the next, ` +
            `at most ${report.tensorMemoryMiB.peak} MiB so far`,
        ),
    ...checks,
    skipped === '' ? '' : `${skipped.replace(/^ {12}/, 'not used    ')}`,
  ].join('');
}
