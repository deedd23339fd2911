// Files that are there whole or not at all.
import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes `data` to `file`, replacing it at once: a reader, or whoever comes back after a crash, finds the old content or
 * the new, never a part. The data goes beside the file, to the disk, and then takes the file's name.
 *
 * Chunks are asked for one after the other, so a large file need not be in memory whole. If anything fails, the file is
 * as it was and nothing is left beside it.
 *
 * @throws Error naming `file` if it cannot be written; whatever the iterable throws, as it is.
 *
 * ```ts
 * await writeFileAtomic('config.json', JSON.stringify(config));
 * ```
 */
export async function writeFileAtomic(
  file: string,
  data: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const chunks = typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
  // The name is unique, so that two writers of one file do not write into each other.
  const temporary = join(dirname(file), `.${basename(file)}.${randomUUID()}.tmp`);
  try {
    const handle = await open(temporary, 'wx');
    try {
      for await (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncDirectory(dirname(file));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    if (!(error instanceof Error && 'syscall' in error)) throw error; // from the iterable, not from the disk
    throw new Error(
      `writeFileAtomic: expected to write ${file}, got ${error.message}; ` +
        'check that its directory exists, may be written and has room',
      { cause: error },
    );
  }
}

/**
 * Brings a directory's entries to the disk: after a rename into it, so that the rename itself lasts.
 *
 * @throws Error of the file system, when there is no such directory.
 * @example await syncDirectory('checkpoints');
 */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return; // directories cannot be opened there; NTFS journals its entries
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
