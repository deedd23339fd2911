// One file of a repository into the cache: what is there already is not fetched again, what is half there is gone on
// with, and what came is what the hub says it is before it has its name.
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { syncDirectory } from '@soft-tokens/tensor';
import { backOff, causeOf, TRIES } from './client.js';

/** A file as the hub's listing describes it. */
export interface RemoteFile {
  path: string;
  bytes: number;
  /** The name of its blob. */
  etag: string;
  /** What `etag` is the hash of: the content, or git's object of it; `undefined`: of something else. */
  hash: 'sha256' | 'git' | undefined;
}

export interface Transfer {
  /** The repository's folder in the cache. */
  repository: string;
  commit: string;
  /** The content from byte `start` on; a response that is good. */
  get(file: RemoteFile, start: number): Promise<Response>;
  signal: AbortSignal | undefined;
  /** Bytes that came; fewer than 0 where some turned out to be wrong. */
  onBytes(bytes: number): void;
}

/** Where a file is in a snapshot. */
export const pathIn = ({ repository, commit }: Pick<Transfer, 'repository' | 'commit'>, file: RemoteFile): string =>
  join(repository, 'snapshots', commit, file.path);

const blobOf = (repository: string, file: RemoteFile) => join(repository, 'blobs', file.etag);

/** The part of a blob that has come so far, under the name that @huggingface/hub gives it. */
const partOf = (repository: string, file: RemoteFile) => `${blobOf(repository, file)}.incomplete`;

/** The bytes of a file that need not be fetched. */
export async function bytesThere(transfer: Pick<Transfer, 'repository' | 'commit'>, file: RemoteFile): Promise<number> {
  const { repository } = transfer;
  for (const path of [pathIn(transfer, file), blobOf(repository, file)]) {
    if ((await sizeOf(path)) === file.bytes) return file.bytes;
  }
  const part = (await sizeOf(partOf(repository, file))) ?? 0;
  return part <= file.bytes ? part : 0;
}

/** Makes a file be in the snapshot, and returns its path there. */
export async function obtain(transfer: Transfer, file: RemoteFile): Promise<string> {
  const path = pathIn(transfer, file);
  if ((await sizeOf(path)) === file.bytes) return path;
  const blob = blobOf(transfer.repository, file);
  await mkdir(dirname(blob), { recursive: true });
  await mkdir(dirname(path), { recursive: true });
  if ((await sizeOf(blob)) !== file.bytes) await download(transfer, file, blob);
  await link(blob, path);
  return path;
}

async function download(transfer: Transfer, file: RemoteFile, blob: string): Promise<void> {
  const part = partOf(transfer.repository, file);
  for (;;) {
    // By its handle, so that another pull of the file, which may be faster and rename it, does not matter.
    const handle = await open(part, constants.O_RDWR | constants.O_CREAT, 0o666);
    let fresh: boolean;
    try {
      fresh = await complete(transfer, file, handle);
      if (await isWhole(handle, file)) break;
    } finally {
      await handle.close();
    }
    await rm(part, { force: true });
    transfer.onBytes(-file.bytes);
    if (!fresh) continue; // what an earlier pull left may have been damaged since
    throw new Error(
      `${file.path}: expected content with the hash ${file.etag}, got another; it is not kept: pull again`,
    );
  }
  try {
    await rename(part, blob);
  } catch (error) {
    if ((await sizeOf(blob)) !== file.bytes) throw error; // else that other pull has done it
  }
  await syncDirectory(dirname(blob));
}

/**
 * Writes what a part lacks, and whether that was all of it. Bytes go to their own places, so that two pulls of one file,
 * whose content is the same, do not disturb each other.
 */
async function complete(transfer: Transfer, file: RemoteFile, handle: FileHandle): Promise<boolean> {
  let at = (await handle.stat()).size;
  if (at > file.bytes) {
    await handle.truncate(0);
    at = 0;
  }
  const fresh = at === 0;
  for (let failures = 0; at < file.bytes; ) {
    const response = await transfer.get(file, at);
    const start = startOf(response);
    if (start > at) throw new Error(`${file.path}: expected bytes from ${at} on, got them from ${start}; pull again`);
    transfer.onBytes(start - at); // start is 0 where the server ignores ranges
    const { end, broken } = await receive(transfer, file, handle, response, start);
    if (end === file.bytes) break;
    failures = end > at ? 1 : failures + 1;
    at = end;
    if (failures === TRIES) {
      const why = broken === undefined ? 'an end' : `a broken connection (${causeOf(broken)})`;
      throw new Error(
        `${file.path}: expected ${file.bytes} bytes, got ${why} after ${at}; the same command goes on from there`,
      );
    }
    await sleep(1000 * backOff(failures), undefined, { signal: transfer.signal });
  }
  await handle.sync();
  return fresh;
}

/** Writes a response's body from byte `start` of the file on; where it ended, and what broke it, if anything did. */
async function receive(
  { signal, onBytes }: Transfer,
  file: RemoteFile,
  handle: FileHandle,
  response: Response,
  start: number,
): Promise<{ end: number; broken?: unknown }> {
  const reader = response.body?.getReader();
  let end = start;
  try {
    for (;;) {
      let chunk: Uint8Array | undefined;
      try {
        chunk = (await reader?.read())?.value;
      } catch (broken) {
        signal?.throwIfAborted();
        return { end, broken };
      }
      if (chunk === undefined) return { end };
      if (end + chunk.length > file.bytes)
        throw new Error(`${file.path}: expected ${file.bytes} bytes, got more; pull again`);
      await writeAll(handle, chunk, end);
      end += chunk.length;
      onBytes(chunk.length);
    }
  } finally {
    await reader?.cancel().catch(() => {}); // what the disk did not take need not come
  }
}

/** The first byte that a response holds. */
function startOf(response: Response): number {
  if (response.status !== 206) return 0;
  const [, start] = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '') ?? [];
  return start === undefined ? Number.POSITIVE_INFINITY : Number(start); // beyond any that was asked for
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}

/** Whether a file holds what its etag is the hash of. */
async function isWhole(handle: FileHandle, file: RemoteFile): Promise<boolean> {
  if ((await handle.stat()).size !== file.bytes) return false;
  if (file.hash === undefined) return true;
  const hash = createHash(file.hash === 'git' ? 'sha1' : 'sha256');
  if (file.hash === 'git') hash.update(`blob ${file.bytes}\0`); // how git names content
  for await (const chunk of handle.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 })) {
    hash.update(chunk as Uint8Array);
  }
  return hash.digest('hex') === file.etag;
}

/** A relative link, so that the cache can be moved; a copy where the system has no links, as Python does. */
async function link(blob: string, path: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.incomplete`;
  try {
    await symlink(relative(dirname(path), blob), temporary);
  } catch {
    await copyFile(blob, temporary);
  }
  await rename(temporary, path);
}

/** The size of a file, through links; `undefined` where there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
