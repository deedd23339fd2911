// What every reader of a binary file from outside does first: open it with care, read whole ranges, show what was wrong.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readlink } from 'node:fs/promises';
import { endianness } from 'node:os';

/**
 * Opens a file, lets it be used with what the system knows of it, and closes it.
 *
 * @throws Error that begins with `where` and names the file, if there is none or it is something else; what `use` throws.
 */
export async function withFile<T>(
  where: string,
  file: string,
  use: (handle: FileHandle, stats: Stats) => Promise<T>,
): Promise<T> {
  const { handle, stats } = await openToRead(where, file);
  try {
    return await use(handle, stats);
  } finally {
    await handle.close();
  }
}

/** An open file, which the caller closes. */
async function openToRead(where: string, file: string): Promise<{ handle: FileHandle; stats: Stats }> {
  checkByteOrder(where);
  // Or a pipe of that name would be waited for; Windows has no such flag.
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(async (error: Error) => {
    const got = (await brokenLink(file)) ?? error.message;
    throw new Error(`${where}: expected a file at ${file}, got ${got}; check the path`, { cause: error });
  });
  const stats = await handle.stat();
  if (stats.isFile()) return { handle, stats };
  await handle.close();
  throw new Error(`${where}: ${file}: expected a file, got something else, such as a directory; check the path`);
}

/** What there is at the path of a file that cannot be opened, if it is a link: those of a cache lead to its blobs. */
async function brokenLink(file: string): Promise<string | undefined> {
  const link = await lstat(file).catch(() => undefined);
  return link?.isSymbolicLink() ? `a link to ${await readlink(file)}, which cannot be opened` : undefined;
}

/** Whether a file is the one that was seen before, as far as the system tells. */
export const isSameFile = (a: Stats, b: Stats) => a.size === b.size && a.mtimeMs === b.mtimeMs && a.ino === b.ino;

/**
 * Fills `bytes` from `position` of the file on.
 *
 * @throws Error that begins with `where`, if the file ends before.
 */
export async function readInto(where: string, handle: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) {
      throw new Error(
        `${where}: expected ${bytes.length} bytes at ${position}, got ${done}; fetch or write the file again`,
      );
    }
    done += bytesRead;
  }
}

/** The formats store little-endian; so does every machine Node has prebuilt releases for but IBM's. */
export function checkByteOrder(where: string): void {
  if (endianness() === 'LE') return;
  throw new Error(`${where}: expected a little-endian machine, got a big-endian one; use another machine`);
}

/** A value from a file as one short line. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

/**
 * How deep the brackets of JSON in UTF-8 go: to be asked before it is parsed, since each level takes far more memory, and
 * more of the stack, than its byte of the file.
 *
 * @example jsonDepth(Buffer.from('{"a": [1, "["]}')); // 2
 */
export function jsonDepth(bytes: Uint8Array): number {
  let depth = 0;
  let most = 0;
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) quoted = !quoted;
    else if (quoted) i += byte === BACKSLASH ? 1 : 0;
    else if (byte === BRACKET || byte === BRACE) most = Math.max(most, ++depth);
    else if (byte === BRACKET + 2 || byte === BRACE + 2) depth--;
  }
  return most;
}
const [QUOTE, BACKSLASH, BRACKET, BRACE] = [0x22, 0x5c, 0x5b, 0x7b] as const;
