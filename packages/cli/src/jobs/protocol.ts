// What a run and its worker processes say to each other.
import type { EngineName } from '@soft-tokens/tensor';
import type { TrainConfig } from '../config/recipe.js';
import type { Task, TaskEvent } from './tasks.js';

/** From the run to a worker. */
export type WorkerRequest =
  | {
      type: 'start';
      config: TrainConfig;
      directory: string;
      shared: string | undefined;
      engine: EngineName;
      threads: number | undefined;
    }
  | { type: 'task'; task: Task }
  | { type: 'abort' };

/** From a worker to the run. */
export type WorkerReply =
  | { type: 'ready' }
  | { type: 'event'; event: TaskEvent }
  | { type: 'done' }
  | { type: 'failed'; message: string; stack: string | undefined; exitCode: number };
