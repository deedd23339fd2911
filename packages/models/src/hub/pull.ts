// Models and files of data sets from the hub into its cache.
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { z } from 'zod';
import { architectureOf } from '../architectures.js';
import { isGgufName, readJson } from '../files.js';
import { companionFiles, SOFT_TOKENS } from '../huggingFace.js';
import { type CacheOptions, cachedData, cachedModel, INDEX, repositoryDirectory, shardsOf } from './cache.js';
import { type HubClient, hubFetch } from './client.js';
import { bytesThere, obtain, type RemoteFile, type Transfer } from './download.js';
import { hubCacheDirectory, hubEndpoint, hubOffline, hubToken } from './environment.js';
import { formatHubName, type HubName, isCommit, isSafePath, parseDataName, parseHubName, show } from './name.js';

/** How far a pull is. */
export interface PullProgress {
  /** The file that is being fetched. */
  file: string;
  /** Bytes of all files that are wanted; those that are there; those of them that came over the network. */
  totalBytes: number;
  doneBytes: number;
  fetchedBytes: number;
}

export interface PullOptions extends CacheOptions {
  /** Asks nobody: what is named must be in the cache. What HF_HUB_OFFLINE says, unless given. */
  offline?: boolean;
  /** The hub's address; HF_ENDPOINT or the public one, unless given. */
  endpoint?: string;
  /** The access token; from HF_TOKEN or where `hf auth login` keeps it, unless given. */
  token?: string;
  /** Stops the pull; what came stays, and the next pull goes on from it. */
  signal?: AbortSignal;
  onProgress?: (progress: PullProgress) => void;
}

/** What is in the cache now. */
export interface Pulled {
  /** The directory of the snapshot, or the file in it where the name is that of one. */
  path: string;
  /** Bytes that came over the network; 0 when everything was there. */
  fetchedBytes: number;
}

/**
 * Fetches a model from the hub into the cache that Python shares: config.json, the tokenizer's files and
 * model.safetensors or its shards; for `ORG/NAME:FILE.gguf` that file alone. What is there is not fetched again, a file
 * that came in part is gone on with, and sizes and hashes are checked before a file has its name. The reference (`main`)
 * moves last, so it never leads to a part of a model.
 *
 * @throws Error for a name that is none; for a hub that is not reached, refuses or has no such model; for a model without
 * safetensors, or of an architecture that is not known here; for content that is not what the hub's listing says; for a
 * repository whose paths lead out of it; for a disk without room. The signal's reason, once that aborts.
 * @example const { path } = await pullModel('Qwen/Qwen2.5-0.5B');
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<Pulled> {
  return pullUnlessOffline(name, parseHubName(name), cachedModel, options);
}

/**
 * Fetches one file of a data set, `hf://datasets/ORG/NAME[@REVISION]/FILE`, from the hub into the cache that Python
 * shares, with what `pullModel` keeps to: nothing twice, checked, whole or not there.
 *
 * @throws Error as `pullModel`; for the name of a folder or of the whole data set, saying which files there are.
 * @example const { path } = await pullData('hf://datasets/openai/gsm8k/main/test-00000-of-00001.parquet');
 */
export async function pullData(name: string, options: PullOptions = {}): Promise<Pulled> {
  return pullUnlessOffline(name, parseDataName(name), cachedData, options);
}

async function pullUnlessOffline(
  name: string,
  parsed: HubName,
  cached: typeof cachedModel,
  options: PullOptions,
): Promise<Pulled> {
  const { cacheDirectory = hubCacheDirectory(), offline = hubOffline(), signal, onProgress } = options;
  signal?.throwIfAborted();
  if (offline) return { path: await cached(name, { cacheDirectory }), fetchedBytes: 0 };
  const client: HubClient = {
    name: parsed,
    endpoint: options.endpoint ?? hubEndpoint(),
    token: options.token ?? (await hubToken()),
    signal,
  };
  try {
    return await pull(client, cacheDirectory, onProgress);
  } catch (error) {
    signal?.throwIfAborted();
    throw explained(error, name, cacheDirectory, client.endpoint);
  }
}

async function pull(client: HubClient, cacheDirectory: string, onProgress: PullOptions['onProgress']): Promise<Pulled> {
  const { name, endpoint, signal } = client;
  // Only here: whoever loads a model need not load this library too.
  const hub = await import('@huggingface/hub');
  const requests = { fetch: hubFetch(client), hubUrl: endpoint };
  const about = { ...requests, name: name.id, revision: name.revision, additionalFields: ['sha' as const] };
  const { sha: commit } = await (name.kind === 'model' ? hub.modelInfo(about) : hub.datasetInfo(about));
  if (typeof commit !== 'string' || !isCommit(commit)) {
    throw new Error(`${formatHubName(name)}: expected a commit from ${endpoint}, got ${show(String(commit))}`);
  }
  const repo = { type: name.kind, name: name.id };
  // Data sets can have very many files: of those, what the file's own folder holds.
  const folder = name.kind === 'model' ? '' : (name.file ?? '').split('/').slice(0, -1).join('/');
  const recursive = name.kind === 'dataset' || name.file !== undefined;
  const path = encodedPath(folder);
  const listing = hub.listFiles({ ...requests, repo, revision: commit, path, recursive });
  const files = await checkedListing(listing, name);

  const repository = repositoryDirectory(cacheDirectory, name);
  const progress: PullProgress = { file: '', totalBytes: 0, doneBytes: 0, fetchedBytes: 0 };
  const transfer: Transfer = {
    repository,
    commit,
    signal,
    async get(file, start) {
      const path = encodedPath(file.path);
      const info = await hub.fileDownloadInfo({ ...requests, repo, path, revision: commit });
      if (info?.size !== file.bytes) {
        throw new Error(`${file.path}: expected ${file.bytes} bytes as listed, got ${info?.size ?? 'no file'}`);
      }
      // Hashes are of the content, not of what a server makes of it to send less.
      const headers = { 'accept-encoding': 'identity', ...(start > 0 && { range: `bytes=${start}-` }) };
      return requests.fetch(info.url, { headers });
    },
    onBytes(bytes) {
      progress.doneBytes += bytes;
      progress.fetchedBytes += Math.max(0, bytes);
      onProgress?.({ ...progress });
    },
  };
  const wanted = await wantedFiles(name, files, transfer);
  progress.totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  progress.doneBytes = 0;
  for (const file of wanted) progress.doneBytes += await bytesThere(transfer, file);
  await requireRoom(repository, progress.totalBytes - progress.doneBytes, name);
  for (const file of wanted) {
    signal?.throwIfAborted();
    progress.file = file.path;
    onProgress?.({ ...progress });
    const path = await obtain(transfer, file);
    // Before gigabytes of weights are fetched.
    if (name.kind === 'model' && file.path === 'config.json') await requireArchitecture(path);
  }
  await writeReference(repository, name.revision, commit);
  const snapshot = join(repository, 'snapshots', commit);
  return {
    path: name.file === undefined ? snapshot : join(snapshot, name.file),
    fetchedBytes: progress.fetchedBytes,
  };
}

/** A path for an address: the library does not encode it. */
const encodedPath = (path: string) => path.split('/').map(encodeURIComponent).join('/');

const hexadecimal = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));

/** A file in the hub's listing; its hashes become names in the cache. */
const entrySchema = z.object({
  path: z.string().refine(isSafePath),
  size: z.number().int().nonnegative(),
  oid: hexadecimal(40),
  lfs: z.object({ oid: hexadecimal(64) }).optional(),
  xetHash: hexadecimal(64).optional(),
});

/** More entries than any model has, and most data sets; a listing may have pages without end. */
const MAX_ENTRIES = 100_000;

/** The repository's files by path, each entry checked: one that is wrong makes the whole listing suspect. */
async function checkedListing(
  listing: AsyncIterable<{ type: string; path: string }>,
  name: HubName,
): Promise<ReadonlyMap<string, RemoteFile>> {
  const files = new Map<string, RemoteFile>();
  let count = 0;
  for await (const entry of listing) {
    if (++count > MAX_ENTRIES) throw new Error(`${name.id}: expected at most ${MAX_ENTRIES} files, got more`);
    if (entry.type !== 'file' && isSafePath(String(entry.path))) continue;
    const checked = entrySchema.safeParse(entry);
    if (!checked.success) {
      const key = checked.error.issues[0]?.path.join('.');
      const what = key === 'path' ? 'a path inside the repository' : `a good ${key}`;
      throw new Error(
        `${name.id}: expected ${what} of each file, got ${show(JSON.stringify(entry))}; nothing is fetched`,
      );
    }
    const { path, size, oid, lfs, xetHash } = checked.data;
    // In the order of the library, whose blobs have these names too.
    const etag = lfs?.oid ?? xetHash ?? oid;
    const hash = lfs ? 'sha256' : xetHash === undefined ? 'git' : undefined;
    files.set(path, { path, bytes: size, etag, hash });
  }
  return files;
}

/**
 * What a model needs of its repository, small files first, or the one file of a data set. Fetches the index of shards,
 * which says which there are.
 */
async function wantedFiles(
  name: HubName,
  files: ReadonlyMap<string, RemoteFile>,
  transfer: Transfer,
): Promise<RemoteFile[]> {
  if (name.kind === 'dataset') return [dataFile(name, files)];
  const need = (path: string, cure: string): RemoteFile => {
    const file = files.get(path);
    if (file) return file;
    throw new Error(`${formatHubName(name)}: expected ${path} in the repository, got none; ${cure}`);
  };
  if (name.file !== undefined) return [need(name.file, `GGUF files there: ${listed([...files.keys()], isGgufName)}`)];
  const index = files.get(INDEX);
  const single = files.get('model.safetensors');
  if (!single && !index) throw withoutSafetensors(name, [...files.keys()]);
  const small = [SOFT_TOKENS, ...companionFiles].flatMap((path) => files.get(path) ?? []);
  const first = [need('config.json', 'is it a model for transformers?'), ...small];
  if (single) return [...first, single];
  const shards = await shardsOf(await obtain(transfer, index!));
  return [...first, index!, ...shards.map((shard) => need(shard, `${INDEX} names it`))];
}

/** The file that is named; for the name of a folder, or of no file, an error that says which there are. */
function dataFile(name: HubName, files: ReadonlyMap<string, RemoteFile>): RemoteFile {
  const file = files.get(name.file ?? '');
  if (file) return file;
  const paths = [...files.keys()];
  const inside = paths.filter((path) => path.startsWith(`${name.file}/`));
  const [got, there] =
    name.file === undefined
      ? ['a whole data set', paths]
      : inside.length > 0
        ? ['a folder', inside]
        : ['none of that name', paths];
  throw new Error(`${formatHubName(name)}: expected the name of one file, got ${got}; files there: ${listed(there)}`);
}

function withoutSafetensors(name: HubName, paths: readonly string[]): Error {
  const error = (got: string, cure: string) =>
    new Error(`${formatHubName(name)}: expected weights as model.safetensors or its shards, got ${got}; ${cure}`);
  const gguf = paths.filter(isGgufName);
  if (gguf.length > 0) return error('GGUF files', `pull one with --file: ${listed(gguf)}`);
  const pickled = paths.filter((path) => /\.(bin|pth?|ckpt)$/.test(path));
  return pickled.length > 0
    ? error(
        listed(pickled),
        'such files can run code and are not read: convert them with transformers, save_pretrained()',
      )
    : error('neither', 'is it a model?');
}

/** Names for a message: the first few. */
function listed(paths: readonly string[], which: (path: string) => boolean = () => true): string {
  const some = paths.filter(which);
  if (some.length === 0) return 'none';
  return some.length > 8 ? `${some.slice(0, 8).join(', ')} and ${some.length - 8} more` : some.join(', ');
}

async function requireArchitecture(configFile: string): Promise<void> {
  const config = await readJson(configFile);
  architectureOf(config, configFile).parseConfig(config, configFile);
}

async function requireRoom(repository: string, bytes: number, name: HubName): Promise<void> {
  await mkdir(repository, { recursive: true });
  const { bavail, bsize } = await statfs(repository);
  const free = bavail * bsize;
  if (bytes <= free) return;
  const megabytes = (count: number) => `${Math.ceil(count / 1e6)} MB`;
  throw new Error(
    `${formatHubName(name)}: expected room for ${megabytes(bytes)} in ${repository}, got ${megabytes(free)}; ` +
      'make room, or set HF_HUB_CACHE',
  );
}

/** A commit needs no reference: it is the snapshot's name. */
async function writeReference(repository: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const file = join(repository, 'refs', revision);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFileAtomic(file, commit);
}

/** Errors of the disk in terms of the cache, and those of reading an answer in terms of who gave it. */
function explained(error: unknown, name: string, cacheDirectory: string, endpoint: string): unknown {
  if (error instanceof SyntaxError) {
    const cure = 'check HF_ENDPOINT, and whether the network wants a login';
    return new Error(`${name}: expected JSON from ${endpoint}, got ${error.message}; ${cure}`, { cause: error });
  }
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const cure = 'make room, and the same command goes on; or set HF_HUB_CACHE';
    return new Error(`${name}: expected room in ${cacheDirectory}, got a full disk; ${cure}`, { cause: error });
  }
  if (syscall === undefined) return error;
  const cure = 'set HF_HUB_CACHE to a directory that may be written';
  return new Error(`${name}: expected to write into ${cacheDirectory}, got ${message}; ${cure}`, { cause: error });
}
