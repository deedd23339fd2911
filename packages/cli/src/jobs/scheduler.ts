// Tasks that wait for one another, done by a few runners side by side.

/** A task and what it waits for. */
export interface Job<T> {
  name: string;
  /** Names of jobs that must be done first. */
  needs: readonly string[];
  /** Larger ones go first. */
  priority: number;
  /** A runner that has just done a job of the same group is preferred for it, and prefers it. */
  group: string;
  task: T;
}

/** Does one task at a time. */
export interface Runner<T> {
  run(task: T): Promise<void>;
}

/**
 * Does every job, each as soon as what it needs is done and a runner is free. Of those that can go, a runner takes one
 * of the highest priority, and of these one of the group it was at.
 *
 * The first failure stops the others, through `stop`, and is thrown once they have stopped.
 *
 * @throws Error for needs that can never be met; whatever a runner throws first.
 * @example await runJobs([{ name: 'a', needs: [], priority: 0, group: '', task: 1 }], [runner], { onStart, stop });
 */
export async function runJobs<T>(
  jobs: readonly Job<T>[],
  runners: readonly Runner<T>[],
  {
    onStart,
    onDone,
    stop,
  }: { onStart?: (job: Job<T>) => void; onDone?: (job: Job<T>) => void; stop: (reason: unknown) => void },
): Promise<void> {
  const names = new Set(jobs.map(({ name }) => name));
  for (const { name, needs } of jobs) {
    const missing = needs.find((need) => !names.has(need));
    if (missing !== undefined) throw new Error(`runJobs: ${name}: expected to need a job of the run, got ${missing}`);
  }
  const waiting = new Set(jobs);
  const done = new Set<string>();
  const failure: { reason?: unknown; failed: boolean } = { failed: false };
  /** Wakes the idle runners: a job that ended may have let others start. */
  let wake = () => {};
  let woken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const wakeAll = () => {
    wake();
    woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
  };
  let running = 0;

  const next = (group: string): Job<T> | undefined => {
    const ready = [...waiting].filter(({ needs }) => needs.every((need) => done.has(need)));
    return ready.sort((a, b) => b.priority - a.priority || Number(b.group === group) - Number(a.group === group))[0];
  };

  const work = async (runner: Runner<T>): Promise<void> => {
    let group = '';
    while (waiting.size > 0 && !failure.failed) {
      const job = next(group);
      if (!job) {
        if (running === 0)
          throw new Error(`runJobs: ${[...waiting].map(({ name }) => name).join(', ')} wait for each other`);
        await woken;
        continue;
      }
      waiting.delete(job);
      running++;
      onStart?.(job);
      try {
        await runner.run(job.task);
        done.add(job.name);
        group = job.group;
        onDone?.(job);
      } catch (reason) {
        if (!failure.failed) {
          failure.failed = true;
          failure.reason = reason;
          stop(reason);
        }
      } finally {
        running--;
        wakeAll();
      }
    }
  };
  await Promise.all(runners.map(work));
  if (failure.failed) throw failure.reason;
}
