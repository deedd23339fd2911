// A hub on this machine: what @huggingface/hub asks a real one, answered from memory. Large files are redirected to
// another origin, as the real one sends them to its CDN.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface MockRepository {
  /** Content by path. */
  files: Record<string, Uint8Array>;
  /** What the listing says of a file, where that is not the truth; or entries of no file. */
  listing?: Record<string, unknown>[];
  /** Which paths are kept as LFS; weights and Parquet unless said. */
  lfs?: (path: string) => boolean;
  /** The commit that branches and tags lead to, as `main` does. */
  commits?: Record<string, string>;
}

/** A request that came, by which of the two servers. */
export interface SeenRequest {
  server: 'hub' | 'cdn';
  url: string;
  range: string | undefined;
  authorization: string | undefined;
}

type Handler = (request: SeenRequest, response: ServerResponse) => boolean;

export interface HubServer {
  endpoint: string;
  models: Record<string, MockRepository>;
  datasets: Record<string, MockRepository>;
  requests: SeenRequest[];
  /** Answers instead where it returns true: for what a good server does not do. */
  instead: Handler | undefined;
  close(): Promise<void>;
}

/** The commit of a repository's `main` unless it says another. */
const COMMIT = '0123456789abcdef0123456789abcdef01234567';

const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');
const gitHash = (content: Uint8Array) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
const isLarge = (path: string) => /\.(safetensors|gguf|bin|parquet)$/.test(path);

/**
 * Starts a hub with these models and data sets.
 *
 * @example const hub = await startHubServer({ 'org/name': { files: { 'config.json': Buffer.from('{}') } } });
 */
export async function startHubServer(
  models: Record<string, MockRepository>,
  datasets: Record<string, MockRepository> = {},
): Promise<HubServer> {
  const requests: SeenRequest[] = [];
  const hub = { endpoint: '', models, datasets, requests, instead: undefined as Handler | undefined };
  const serve = async (server: 'hub' | 'cdn', answer: (url: URL, request: SeenRequest, to: ServerResponse) => void) => {
    const started = createServer((message, response) => {
      const request = seen(server, message);
      hub.requests.push(request);
      if (hub.instead?.(request, response)) return;
      answer(new URL(request.url, 'http://hub'), request, response);
    });
    await new Promise<void>((ready) => started.listen(0, '127.0.0.1', ready));
    return { started, origin: `http://127.0.0.1:${(started.address() as AddressInfo).port}` };
  };
  const cdn = await serve('cdn', (url, request, response) => {
    const content = contentByHash([models, datasets], url.pathname.slice(1));
    sendRange(response, request, content, `"${sha256(content)}"`);
  });
  const main = await serve('hub', (url, request, response) => {
    const { id, repository, verb, revision, path } = routed(hub, url.pathname);
    if (!repository) return refuse(response, 401, 'RepoNotFound');
    const commit = { main: COMMIT, ...repository.commits }[revision] ?? revision;
    if (!/^[0-9a-f]{40}$/.test(commit)) return refuse(response, 404, 'RevisionNotFound');
    if (verb === 'revision') return sendJson(response, { id, sha: commit });
    if (verb === 'tree') {
      const entries = listingOf(repository, path, url.searchParams.get('recursive') === 'true');
      return entries.length > 0 || path === ''
        ? sendListing(response, url, entries)
        : refuse(response, 404, 'EntryNotFound');
    }
    const content = repository.files[path];
    if (!content) return refuse(response, 404, 'EntryNotFound');
    if (!(repository.lfs ?? isLarge)(path)) return sendRange(response, request, content, `"${gitHash(content)}"`);
    const etag = sha256(content);
    const headers = {
      'x-linked-etag': `"${etag}"`,
      'x-linked-size': content.length,
      location: `${cdn.origin}/${etag}`,
    };
    response.writeHead(302, headers).end();
  });
  hub.endpoint = main.origin;
  return Object.assign(hub, {
    close: async () => {
      await Promise.all([main.started, cdn.started].map(closed));
    },
  });
}

/** What an address asks for: the hub's routes, in which a model's have no word for it where a file is fetched. */
function routed({ models, datasets }: Pick<HubServer, 'models' | 'datasets'>, pathname: string) {
  const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)(?:\/(.+))?$/;
  const file = /^\/(?:(datasets)\/)?([^/]+\/[^/]+)\/(resolve)\/([^/]+)\/(.+)$/;
  const found = api.exec(pathname) ?? file.exec(pathname) ?? [];
  const [, kind, id = '', verb, revision = '', path = ''] = found;
  const repository = (kind === 'datasets' ? datasets : models)[id];
  return { id, repository, verb, revision: decodeURIComponent(revision), path: decodeURIComponent(path) };
}

function seen(server: 'hub' | 'cdn', { url = '', headers }: IncomingMessage): SeenRequest {
  return { server, url, range: headers.range, authorization: headers.authorization };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => server.close(() => done()));
}

const refuse = (response: ServerResponse, status: number, code: string) =>
  void response.writeHead(status, { 'x-error-code': code }).end();

const sendJson = (response: ServerResponse, value: unknown, headers: Record<string, string> = {}) =>
  void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));

/** Entries in pages of three. */
function sendListing(response: ServerResponse, url: URL, entries: readonly unknown[]): void {
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const next = new URL(url);
  next.searchParams.set('cursor', String(from + 3));
  next.host = response.req.headers.host!;
  const more = from + 3 < entries.length;
  sendJson(response, entries.slice(from, from + 3), more ? { link: `<${next}>; rel="next"` } : {});
}

function listingOf(repository: MockRepository, folder: string, recursive: boolean): unknown[] {
  const { files, listing = [], lfs = isLarge } = repository;
  const start = folder === '' ? 0 : folder.length + 1;
  const told = Object.entries(files)
    .filter(([path]) => folder === '' || path.startsWith(`${folder}/`))
    .filter(([path]) => recursive || !path.includes('/', start))
    .map(([path, content]) => ({
      type: 'file',
      path,
      size: content.length,
      oid: gitHash(content),
      ...(lfs(path) && { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } }),
    }));
  const paths = new Set(listing.map(({ path }) => path));
  return [...told.filter(({ path }) => !paths.has(path)), ...listing];
}

function contentByHash(repositories: readonly Record<string, MockRepository>[], hash: string): Uint8Array {
  const all = repositories.flatMap((each) => Object.values(each)).flatMap(({ files }) => Object.values(files));
  return all.find((content) => sha256(content) === hash)!;
}

function sendRange(response: ServerResponse, { range }: SeenRequest, content: Uint8Array, etag: string): void {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (first === undefined) {
    response.writeHead(200, { etag, 'content-length': content.length }).end(content);
    return;
  }
  const part = content.subarray(Number(first), last ? Number(last) + 1 : content.length);
  const range206 = `bytes ${first}-${Number(first) + part.length - 1}/${content.length}`;
  response.writeHead(206, { etag, 'content-length': part.length, 'content-range': range206 }).end(part);
}
