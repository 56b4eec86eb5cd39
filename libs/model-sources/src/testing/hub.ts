import { createHash } from 'node:crypto';
import type { ModelFiles } from '../../../../tools/model-builder/src/files';
import { sendFile, sendJson, WebServer } from './web-server';

export const COMMIT = 'c0ffee'.padEnd(40, '0');
const PAGE_ENTRIES = 3;
/** Larger files lie in the large file storage, which is another host. */
const PLAIN_BYTES_MAX = 64 * 1024;

export interface TestHub {
  hub: WebServer;
  storage: WebServer;
  /** As the list of files gives them; a test may change them. */
  entries: { type: string; path: string; size: number; oid: string; lfs?: { oid: string; size: number; pointerSize: number } }[];
  stop(): Promise<void>;
}

const hex = (algorithm: string, content: Uint8Array, prefix = ''): string =>
  createHash(algorithm).update(prefix).update(content).digest('hex');

/** Speaks the part of the Hugging Face hub's API by which a repository is listed and fetched. `token`: who does not show it gets 401. */
export async function startHub(repository: string, files: ModelFiles, token: string | null): Promise<TestHub> {
  const byDigest = new Map(Object.values(files).map((content) => [hex('sha256', content), content]));
  const storage = await WebServer.start((request, response, url) => {
    const content = byDigest.get(url.pathname.slice(1));
    if (content === undefined) response.writeHead(404).end();
    else sendFile(request, response, content);
  });
  const entries: TestHub['entries'] = Object.entries(files).map(([path, content]) => {
    const plain = { type: 'file', path, size: content.length, oid: hex('sha1', content, `blob ${content.length}\0`) };
    return content.length <= PLAIN_BYTES_MAX
      ? plain
      : { ...plain, lfs: { oid: hex('sha256', content), size: content.length, pointerSize: 134 } };
  });
  entries.push({ type: 'directory', path: 'onnx', size: 0, oid: COMMIT });
  const hub = await WebServer.start((request, response, url) => {
    const refuse = (status: number, code: string): void => void response.writeHead(status, { 'x-error-code': code }).end(code);
    if (token !== null && request.headers.authorization !== `Bearer ${token}`) return refuse(401, 'RepoNotFound');
    const api = `/api/models/${repository}`;
    const [, revision = ''] = /\/revision\/(.*)$/.exec(url.pathname) ?? [];
    if (url.pathname.startsWith(`${api}/revision/`)) {
      if (!['main', COMMIT].includes(decodeURIComponent(revision))) return refuse(404, 'RevisionNotFound');
      return sendJson(response, {
        _id: '1',
        id: repository,
        sha: COMMIT,
        private: false,
        gated: false,
        downloads: 0,
        likes: 0,
        lastModified: 0,
      });
    }
    if (url.pathname === `${api}/tree/${COMMIT}`) {
      const at = Number(url.searchParams.get('cursor') ?? 0);
      const next = new URL(url);
      next.searchParams.set('cursor', String(at + PAGE_ENTRIES));
      const link: Record<string, string> = at + PAGE_ENTRIES < entries.length ? { link: `<${next.href}>; rel="next"` } : {};
      return sendJson(response, entries.slice(at, at + PAGE_ENTRIES), link);
    }
    const path = decodeURIComponent(url.pathname.slice(`/${repository}/resolve/${COMMIT}/`.length));
    const content = files[path];
    if (!url.pathname.startsWith(`/${repository}/`)) return refuse(404, 'RepoNotFound');
    if (content === undefined) return refuse(404, 'EntryNotFound');
    if (content.length <= PLAIN_BYTES_MAX) return sendFile(request, response, content);
    response.writeHead(302, { location: `${storage.url}/${hex('sha256', content)}?signature=secret` }).end();
  });
  return {
    hub,
    storage,
    entries,
    stop: async () => {
      await hub.stop();
      await storage.stop();
    },
  };
}
