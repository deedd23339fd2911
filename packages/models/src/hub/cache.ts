// The hub's cache: {models,datasets}--ORG--NAME/{refs,snapshots,blobs}, the layout that Python's huggingface_hub reads
// and writes.
// A reference holds a commit, a snapshot of that commit holds links, a blob holds what a file holds.
// https://huggingface.co/docs/huggingface_hub/guides/manage-cache
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readShardIndex } from '@soft-tokens/tensor';
import { isGgufName, readTextIfPresent } from '../files.js';
import { hubCacheDirectory } from './environment.js';
import { formatHubName, type HubName, isCommit, parseDataName, parseHubName, show } from './name.js';

/** What a directory with an adapter of PEFT's has in place of a model's config.json. */
export const ADAPTER_CONFIG = 'adapter_config.json';

export interface CacheOptions {
  /** The hub's cache; where the environment says, unless given. */
  cacheDirectory?: string;
}

/** The folder of a repository in the cache. */
export function repositoryDirectory(cacheDirectory: string, { kind, id }: HubName): string {
  return join(cacheDirectory, `${kind}s--${id.replace('/', '--')}`);
}

/**
 * The path of a model in the hub's cache: the directory of its snapshot, or a GGUF file in it where the name says so or
 * the snapshot has nothing else. Reads files only.
 *
 * @throws Error for what is no name, and for a model of which the cache has nothing or only a part.
 * @example await cachedModel('Qwen/Qwen2.5-0.5B'); // '~/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B/snapshots/...'
 */
export async function cachedModel(
  name: string,
  { cacheDirectory = hubCacheDirectory() }: CacheOptions = {},
): Promise<string> {
  return find(name, parseHubName(name), cacheDirectory, 'a model in the cache');
}

/**
 * The path in the hub's cache of a file of a data set, `hf://datasets/ORG/NAME[@REVISION]/FILE`. Reads files only.
 *
 * @throws Error for what is no such name, and for a file that the cache has not.
 * @example await cachedData('hf://datasets/openai/gsm8k/main/test-00000-of-00001.parquet');
 */
export async function cachedData(
  name: string,
  { cacheDirectory = hubCacheDirectory() }: CacheOptions = {},
): Promise<string> {
  const parsed = parseDataName(name);
  if (parsed.file !== undefined) return find(name, parsed, cacheDirectory, 'a file in the cache');
  throw new Error(`${name}: expected the name of a file, got that of a data set; soft-tokens pull ${name} lists them`);
}

async function find(name: string, parsed: HubName, cacheDirectory: string, expectation: string): Promise<string> {
  const directory = await snapshotDirectory(parsed, cacheDirectory);
  const cure = `soft-tokens pull ${name} fetches it`;
  if (directory === undefined) {
    throw new Error(`${name}: expected ${expectation}, got none of that name in ${cacheDirectory}; ${cure}`);
  }
  const found = await modelIn(directory, parsed);
  if (typeof found === 'string') return found;
  const what = parsed.file === undefined ? 'the whole model' : 'the file';
  throw new Error(`${name}: expected ${what} in the cache, got ${directory} without ${found.missing}; ${cure}`);
}

/** The snapshot of a revision, where the cache has one. */
async function snapshotDirectory(name: HubName, cacheDirectory: string): Promise<string | undefined> {
  const { revision } = name;
  const repository = repositoryDirectory(cacheDirectory, name);
  const reference = join(repository, 'refs', revision);
  const commit = isCommit(revision) ? revision : (await readTextIfPresent(reference))?.trim();
  if (commit === undefined) return undefined;
  if (!isCommit(commit)) {
    throw new Error(`${reference}: expected the 40 hexadecimal digits of a commit, got ${show(commit)}; pull again`);
  }
  const directory = join(repository, 'snapshots', commit);
  return (await isDirectory(directory)) ? directory : undefined;
}

/** The path of what can be loaded from a snapshot, or what it lacks. */
async function modelIn(directory: string, { file, ...name }: HubName): Promise<string | { missing: string }> {
  if (file !== undefined) return (await isFile(join(directory, file))) ? join(directory, file) : { missing: file };
  const missing = await missingFile(directory);
  if (missing === undefined) return directory;
  const gguf = (await readdir(directory)).filter(isGgufName);
  if (gguf.length > 1) {
    const first = formatHubName({ ...name, file: gguf[0]! });
    throw new Error(`${formatHubName(name)}: expected one GGUF file, got ${gguf.join(', ')}; say which: ${first}`);
  }
  return gguf.length === 1 && (await isFile(join(directory, gguf[0]!))) ? join(directory, gguf[0]!) : { missing };
}

/** The first file that a Hugging Face directory lacks to be loaded. */
async function missingFile(directory: string): Promise<string | undefined> {
  const absent = async (name: string) => !(await isFile(join(directory, name)));
  if (await absent('config.json')) return 'config.json';
  if (!(await absent('model.safetensors'))) return undefined;
  if (await absent(INDEX)) return 'model.safetensors';
  for (const shard of await shardsOf(join(directory, INDEX))) if (await absent(shard)) return shard;
  return undefined;
}

export const INDEX = 'model.safetensors.index.json';

/** The files that an index names, each once. */
export const shardsOf = async (indexFile: string) => [...new Set((await readShardIndex(indexFile)).values())];

/**
 * The path of a model that somebody names: a model directory, a .gguf file, or a model in the hub's cache as
 * `cachedModel` takes it. What is there as a path wins. Looks only whether it is there, not what is in it.
 *
 * - `from`: the directory that a relative path starts at; the working directory unless said
 *
 * @throws Error for what is none of them, saying how to fetch what looks like a name.
 * @example await resolveModel('Qwen/Qwen2.5-0.5B');
 */
export async function resolveModel(
  nameOrPath: string,
  { from, cacheDirectory }: CacheOptions & { from?: string } = {},
): Promise<string> {
  const path = from === undefined ? nameOrPath : resolve(from, nameOrPath);
  const kind = await kindOf(path);
  if (kind === 'directory') {
    if ((await isFile(join(path, 'config.json'))) || (await isFile(join(path, ADAPTER_CONFIG)))) return path;
    throw new Error(`${show(path)}: expected a Hugging Face model directory with config.json, got one without`);
  }
  if (kind === 'file' && isGgufName(path)) return path;
  const expectation = 'expected a Hugging Face model directory with config.json, a .gguf file or ORG/NAME';
  if (kind !== undefined) throw new Error(`${show(path)}: ${expectation}, got a file of another kind`);
  if (!isHubName(nameOrPath)) throw new Error(`${show(path)}: ${expectation}, got no such directory`);
  const expected = 'a model directory, or a model in the cache';
  return find(nameOrPath, parseHubName(nameOrPath), cacheDirectory ?? hubCacheDirectory(), expected);
}

/** A path to a GGUF file looks like a name too; a repository is not called so. */
function isHubName(text: string): boolean {
  if (isGgufName(text) && !text.includes(':')) return false;
  try {
    parseHubName(text);
    return true;
  } catch {
    return false;
  }
}

async function kindOf(path: string): Promise<'directory' | 'file' | undefined> {
  if (path.includes('\0')) return undefined;
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file';
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const isFile = async (path: string) => (await kindOf(path)) === 'file';
const isDirectory = async (path: string) => (await kindOf(path)) === 'directory';
