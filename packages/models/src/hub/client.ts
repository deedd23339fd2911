// Requests to the hub: the token, tries, and what is said when it does not answer or says no.
import { setTimeout as sleep } from 'node:timers/promises';
import { addressOf, formatHubName, type HubName, show } from './name.js';

export interface HubClient {
  name: HubName;
  endpoint: string;
  token: string | undefined;
  signal: AbortSignal | undefined;
}

/** How often a request is sent before the hub's refusal is final. */
export const TRIES = 5;

/** Seconds before the next try, where the hub does not say: 0.5, 1, 2, 4. */
export const backOff = (failures: number): number => 0.5 * 2 ** (failures - 1);

/** The longest wait that a hub may ask for, in seconds; a longer one is the user's to wait. */
const LONGEST_WAIT = 60;

/**
 * A fetch for one repository on the hub. It resolves to a response that is good; sends what met 429 or 5xx again, and, once
 * the hub was reached, what met a broken connection; sends the token to the hub and nowhere else.
 */
export function hubFetch(client: HubClient): typeof fetch {
  const { endpoint, token, signal } = client;
  let reached = false;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    // fetch drops it when the hub redirects elsewhere, as it does for large files.
    if (token !== undefined && url.origin === new URL(endpoint).origin) headers.set('authorization', `Bearer ${token}`);
    for (let failures = 1; ; failures++) {
      signal?.throwIfAborted();
      let response: Response;
      try {
        response = await fetch(url, { ...init, headers, signal: signal ?? null });
        reached = true;
      } catch (error) {
        signal?.throwIfAborted();
        if (!reached || failures === TRIES) throw unreachable(client, url, error);
        await sleep(1000 * backOff(failures), undefined, { signal });
        continue;
      }
      if (response.ok) return response;
      await response.body?.cancel();
      const wait = retryAfter(response) ?? backOff(failures);
      const busy = response.status === 429 || response.status >= 500;
      if (!busy || failures === TRIES || wait > LONGEST_WAIT) throw refused(client, response, failures);
      await sleep(1000 * wait, undefined, { signal });
    }
  };
}

/** Seconds that the hub asks to wait, where it says a number. */
function retryAfter(response: Response): number | undefined {
  const text = response.headers.get('retry-after');
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** The code of the system's error below one of fetch, which says no more than "fetch failed". */
export function causeOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: NodeJS.ErrnoException };
  return cause?.code ?? (cause?.message || message);
}

function unreachable({ name, endpoint }: HubClient, url: URL, error: unknown): Error {
  return new Error(
    `${formatHubName(name)}: expected an answer from ${url.origin}, got no connection (${causeOf(error)}); check the ` +
      `network${endpoint === url.origin ? ', or HF_ENDPOINT' : ''}; what is in the cache needs none (--offline)`,
    { cause: error },
  );
}

/** What a refusal means, from its status and the hub's own code for it. */
function refused({ name, endpoint, token }: HubClient, response: Response, tries: number): Error {
  const { status } = response;
  const code = response.headers.get('x-error-code') ?? '';
  const where = formatHubName(name);
  const page = `${endpoint}/${addressOf(name)}`;
  const error = (expected: string, cure: string) =>
    new Error(`${where}: expected ${expected}, got ${status}${code && ` ${show(code)}`} from ${response.url}; ${cure}`);
  if (code === 'GatedRepo' || (status === 403 && code === '')) {
    const account = token === undefined ? 'set HF_TOKEN to a token of your account' : 'use a token of that account';
    return error('access', `accept its licence at ${page} and ${account}`);
  }
  if (status === 401 || status === 403) {
    // The hub says 401 of a repository that does not exist, too, to those it does not know.
    return error(
      'access',
      token === undefined
        ? `no such repository, or a private one: check the name, or set HF_TOKEN`
        : `check the name, and whether the token in use is valid and may read ${page}`,
    );
  }
  if (code === 'RevisionNotFound') return error(`a revision ${name.revision}`, `${page}/commits/main lists them`);
  if (code === 'EntryNotFound') return error('the file', `${page}/tree/${name.revision} lists the files`);
  if (status === 404) {
    const what = name.kind === 'model' ? 'a model' : 'a data set';
    return error(what, `no such repository or revision: check the name at ${page}`);
  }
  if (status === 429 || status >= 500) {
    const wait = retryAfter(response);
    return error(`an answer in ${tries} tries`, `try again ${wait === undefined ? 'later' : `in ${wait} s`}`);
  }
  return error('an answer', `is HF_ENDPOINT a hub?`);
}
