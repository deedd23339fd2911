// How far a command is: a bar that redraws itself on a terminal, plain lines now and then elsewhere.
import { Presets, SingleBar } from 'cli-progress';
import type { Io } from './io.js';

export interface Progress {
  /** Sets the share done, 0 to 1, the seconds left (undefined: unknown yet), and what is going on. */
  update(share: number, secondsLeft: number | undefined, text: string): void;
  /** Writes a line that stays. */
  log(text: string): void;
  stop(): void;
}

/** Seconds between plain lines. */
const LINE_EVERY = 5;

/** Reports progress on standard error, in the manner it can show. */
export function createProgress(io: Io): Progress {
  return io.terminal.live ? barProgress(io) : lineProgress(io);
}

function barProgress({ terminal: { stream }, colors, note }: Io): Progress {
  const bar = new SingleBar(
    {
      stream,
      format: `${colors.note.cyan('{bar}')} {percent}  {left}  {text}`,
      barsize: 20,
      hideCursor: true,
      fps: 8,
      gracefulExit: false,
      emptyOnZero: true,
      clearOnComplete: true,
    },
    Presets.shades_classic,
  );
  const state = { percent: '  0%', left: '', text: '' };
  bar.start(1, 0, state);
  return {
    update(share, secondsLeft, text) {
      const room = Math.max(10, (stream.columns ?? 80) - 48);
      bar.update(share, {
        percent: `${Math.floor(100 * share)}%`.padStart(4),
        left: secondsLeft === undefined ? 'estimating' : `${duration(secondsLeft)} left`,
        text: text.length > room ? `${text.slice(0, room - 1)}…` : text,
      });
    },
    log(text) {
      // Erase the bar's line; the bar draws itself anew at its next tick.
      stream.write('\r\u001b[K');
      note(`${text}\n`);
    },
    stop: () => bar.stop(),
  };
}

function lineProgress({ note }: Io): Progress {
  const state = { at: Number.NEGATIVE_INFINITY };
  return {
    update(share, secondsLeft, text) {
      const now = performance.now();
      if (now - state.at < 1000 * LINE_EVERY) return;
      state.at = now;
      const left = secondsLeft === undefined ? 'estimating' : `${duration(secondsLeft)} left`;
      const line = `${`${Math.floor(100 * share)}%`.padStart(4)}  ${left.padEnd(12)}  ${text}`;
      note(`${line.trimEnd()}\n`);
    },
    log: (text) => note(`${text}\n`),
    stop: () => {},
  };
}

/**
 * A time for a reader: `45s`, `3m10s`, `2h05m`.
 *
 * @example duration(190); // '3m10s'
 */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}
