// Where a command reads and writes. Results go to standard output, everything else to standard error.
import pico from 'picocolors';

export type Colors = ReturnType<typeof pico.createColors>;

/** The surroundings of one command. */
export interface Io {
  /** Writes results. */
  out(text: string): void;
  /** Writes what is not a result: progress, notes, errors. */
  note(text: string): void;
  /** Standard input, line by line. */
  lines(): AsyncIterable<string>;
  /** Whether standard error is a terminal that can redraw a line, and how wide it is. */
  readonly terminal: { readonly live: boolean; readonly stream: NodeJS.WriteStream };
  /** Colours of standard output and of standard error. */
  readonly colors: { readonly out: Colors; readonly note: Colors };
  /** Aborts when the command is to stop. */
  readonly signal: AbortSignal;
}

/** Whether a stream is coloured: NO_COLOR forbids it, FORCE_COLOR demands it, else terminals are. See no-color.org. */
export function wantsColor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

/** The process's own streams. */
export function processIo(signal: AbortSignal): Io {
  const { stdin, stdout, stderr } = process;
  return {
    out: (text) => stdout.write(text),
    note: (text) => stderr.write(text),
    async *lines() {
      let rest = '';
      stdin.setEncoding('utf8');
      for await (const chunk of stdin) {
        const parts = (rest + chunk).split('\n');
        rest = parts.pop() ?? '';
        yield* parts;
      }
      if (rest !== '') yield rest;
    },
    terminal: { live: stderr.isTTY === true && !process.env.CI, stream: stderr },
    colors: { out: pico.createColors(wantsColor(stdout)), note: pico.createColors(wantsColor(stderr)) },
    signal,
  };
}
