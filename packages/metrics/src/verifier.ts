import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { type Comparison, compareTexts, defaultComparisons } from './comparisons.js';
import { engineWorkerCode } from './engineWorker.js';
import { extractAnswer } from './extract.js';
import { goldAnswer, type Verdict, verify } from './verify.js';

/** The engine's package, an optional peer of this one. */
const enginePackage = '@cortex-js/compute-engine';
/** Verdicts kept, so that samples that repeat an answer ask once. */
const cacheLimit = 10_000;
/** The engine must be up within this time, in milliseconds. */
const startLimit = 60_000;

export interface VerifierOptions {
  /** Asked before the engine, as by `verify`. */
  readonly comparisons?: readonly Comparison[];
  /** Milliseconds that the engine may spend on one pair of answers; default 1000. */
  readonly timeLimit?: number;
}

/** How often the engine was asked, and what came of it. */
export interface EngineCounts {
  asked: number;
  /** Counted as wrong. */
  timedOut: number;
}

export interface Verifier {
  /** As `verify`; `timed out` is a reason of its own, and incorrect. */
  verify(answerText: string, gold: string): Promise<Verdict>;
  readonly counts: Readonly<EngineCounts>;
  /** Ends the worker; a verifier is of no use afterwards. */
  dispose(): Promise<void>;
}

/**
 * A verifier that asks a computer algebra engine where `verify` finds no way to compare: integrals, finite sums, limits.
 *
 * The engine runs in one worker thread, started by the first question and used for all; a pair that takes longer than
 * the time limit ends the worker, counts as wrong, and is counted. Most answers never reach it.
 *
 * @throws Error when `@cortex-js/compute-engine` is not installed; RangeError for a time limit that is not positive.
 * @example
 * const verifier = createVerifier({ timeLimit: 1000 });
 * await verifier.verify('\\boxed{\\int_0^1 x dx}', '1/2'); // { correct: true, reason: 'equal by the engine', ... }
 * await verifier.dispose();
 */
export function createVerifier({ comparisons = defaultComparisons, timeLimit = 1000 }: VerifierOptions = {}): Verifier {
  if (!(timeLimit > 0 && timeLimit <= 2 ** 31 - 1)) {
    throw new RangeError(`createVerifier: expected a time limit of more than 0 ms, got ${timeLimit}`);
  }
  const engine = new Engine(enginePath(), timeLimit);
  return {
    counts: engine.counts,
    dispose: () => engine.dispose(),
    async verify(answerText, gold) {
      const verdict = verify(answerText, gold, comparisons);
      if (verdict.correct || verdict.reason !== 'different') return verdict;
      const [answer, wanted] = [extractAnswer(answerText)!.text, goldAnswer(gold)];
      if (!isFormula(answer) || !isFormula(wanted) || compareTexts(answer, wanted) !== 'unknown') return verdict;
      const found = await engine.equal(answer, wanted);
      if (found === 'timed out') return { ...verdict, reason: `timed out after ${timeLimit} ms` };
      return found ? { ...verdict, correct: true, reason: 'equal by the engine' } : verdict;
    },
  };
}

function enginePath(): string {
  try {
    return createRequire(import.meta.url).resolve(enginePackage);
  } catch (error) {
    throw new Error(
      `createVerifier: expected ${enginePackage} to be installed; run npm install ${enginePackage}, or use verify`,
      { cause: error },
    );
  }
}

/** Text that an engine could work on; words alone are not. */
const isFormula = (text: string) => /[\d\\^=]/.test(text) && !/^\\text\{[^{}]*\}$/.test(text);

type Found = boolean | 'timed out';

/** One worker, asked one question at a time. */
class Engine {
  readonly counts: EngineCounts = { asked: 0, timedOut: 0 };
  private worker: Worker | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private readonly known = new Map<string, Promise<Found>>();
  private readonly path: string;
  private readonly timeLimit: number;

  constructor(path: string, timeLimit: number) {
    this.path = path;
    this.timeLimit = timeLimit;
  }

  equal(answer: string, gold: string): Promise<Found> {
    const key = JSON.stringify([answer, gold]);
    const seen = this.known.get(key);
    if (seen) return seen;
    const found = this.last.then(() => this.ask(answer, gold));
    this.last = found.catch(() => {});
    if (this.known.size >= cacheLimit) this.known.delete(this.known.keys().next().value!);
    this.known.set(key, found);
    found.catch(() => this.known.delete(key)); // a worker that would not start may start the next time
    return found;
  }

  private async ask(answer: string, gold: string): Promise<Found> {
    const worker = this.worker ?? (await this.start());
    this.counts.asked++;
    worker.ref(); // a question keeps the process alive, an idle worker does not
    worker.postMessage([answer, gold]);
    const reply = await replyOf(worker, this.timeLimit);
    worker.unref();
    if (typeof reply === 'boolean') return reply;
    this.worker = undefined; // too long, or it died of the question, which is no better
    await worker.terminate();
    this.counts.timedOut++;
    return 'timed out';
  }

  private async start(): Promise<Worker> {
    const worker = new Worker(engineWorkerCode, {
      eval: true,
      workerData: this.path,
      resourceLimits: { maxOldGenerationSizeMb: 512 },
      stdout: true, // what the engine warns of is not the caller's concern
      stderr: true,
    });
    const reply = await replyOf(worker, startLimit);
    if (reply !== 'ready') {
      await worker.terminate();
      throw new Error(`createVerifier: expected ${enginePackage} to start, got ${String(reply)}`);
    }
    worker.unref();
    this.worker = worker;
    return worker;
  }

  async dispose(): Promise<void> {
    await this.last;
    await this.worker?.terminate();
    this.worker = undefined;
  }
}

/** The worker's next message, an error that ended it, or undefined after so many milliseconds. */
function replyOf(worker: Worker, milliseconds: number): Promise<unknown> {
  return new Promise((resolve) => {
    const done = (reply: unknown) => {
      clearTimeout(timer);
      worker.off('message', done).off('error', done).off('exit', ended);
      resolve(reply);
    };
    const ended = () => done(undefined);
    const timer = setTimeout(ended, milliseconds);
    worker.on('message', done).on('error', done).on('exit', ended);
  });
}
