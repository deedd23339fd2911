// What the environment says about the hub: the variables that Python's huggingface_hub reads, and in its order.
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readTextIfPresent } from '../files.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where models from the hub are kept: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, which is
 * `huggingface` in XDG_CACHE_HOME or ~/.cache unless it is set. Python shares it.
 *
 * Source: huggingface_hub 2.4.0, `constants.py`.
 *
 * @example hubCacheDirectory({ HF_HOME: '/data' }); // '/data/hub'
 */
export function hubCacheDirectory(env: Environment = process.env): string {
  const set = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return set ? expanded(set, env) : join(hubHome(env), 'hub');
}

function hubHome(env: Environment): string {
  return expanded(env.HF_HOME || join(env.XDG_CACHE_HOME || '~/.cache', 'huggingface'), env);
}

/** `~` and `$NAME` as a shell reads them: values from a container's configuration never met one. */
function expanded(path: string, env: Environment): string {
  return path
    .replace(/^~(?=\/|\\|$)/, () => homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced, bare) => env[braced ?? bare] ?? text);
}

/** Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network. */
export function hubOffline(env: Environment = process.env): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes((env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || '').toUpperCase());
}

/** The hub's address, without a slash at its end: HF_ENDPOINT, or the public one. */
export function hubEndpoint(env: Environment = process.env): string {
  const text = env.HF_ENDPOINT || 'https://huggingface.co';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // What stands before an @ may be a password: such a value is not printed.
  if (url?.username || url?.password) {
    throw new Error('HF_ENDPOINT: expected an address without a user name, got one with; use HF_TOKEN');
  }
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    throw new Error(`HF_ENDPOINT: expected an address such as https://huggingface.co, got ${JSON.stringify(text)}`);
  }
  return text.replace(/\/+$/, '');
}

/**
 * The access token: HF_TOKEN, else HUGGING_FACE_HUB_TOKEN, else the file that `hf auth login` writes, HF_TOKEN_PATH or
 * `token` in HF_HOME.
 *
 * @throws Error, without the token in it, for one that cannot be sent.
 */
export async function hubToken(env: Environment = process.env): Promise<string | undefined> {
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const token = checkedToken(env[name], name);
    if (token !== undefined) return token;
  }
  const file = env.HF_TOKEN_PATH ? expanded(env.HF_TOKEN_PATH, env) : join(hubHome(env), 'token');
  return checkedToken(await readTextIfPresent(file), file);
}

function checkedToken(text: string | undefined, where: string): string | undefined {
  const token = text?.trim();
  if (!token) return undefined;
  // What fetch says of a header that it refuses repeats the header.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(`${where}: expected an access token, got one with a space, a line break or a letter beyond ASCII`);
  }
  return token;
}
