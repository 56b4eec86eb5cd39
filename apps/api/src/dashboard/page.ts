import { createHash } from 'node:crypto';
import { PAGE_SCRIPT } from './page-script';

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #667; --good: #1a7f37; --bad: #cf222e; --busy: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --soft: #99a; --good: #4ac26b; --bad: #ff7b72; --busy: #d4a72c; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1.2rem; }
header { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; align-items: baseline; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
nav { margin-left: auto; display: flex; gap: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: .82rem; }
.number { text-align: right; white-space: nowrap; }
.soft { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); }
.reason { display: block; font-size: .82rem; color: var(--soft); white-space: normal; max-width: 32rem; overflow-wrap: anywhere; }
progress { width: 9rem; vertical-align: middle; }
code { font-size: .86rem; }
`;

/** The columns of each table; a leading "#" marks numbers. */
const TABLES: [id: string, title: string, columns: string[]][] = [
  [
    'fleet',
    'Nodes of the fleet',
    ['Node', 'State', 'Address', 'Version', 'CPUs', 'Models', '#Live backlog', '#Busy', '#Batch rows/s', 'Since'],
  ],
  ['lanes', 'Lanes', ['Lane', '#Waiting items', '#Rows/s', '#Rows per run', '#Padding', '#Requests/s', '#Errors/s', '#p50', '#p99']],
  ['workers', 'Workers', ['Worker', 'Lane', 'State', '#pid', 'CPUs', '#Waiting', '#Restarts', 'Models']],
  [
    'releases',
    'Releases',
    ['Model', 'Stable', 'Canary', 'Mirror', '#Agreement', '#Least cosine', '#p99 ratio', '#Time ratio', 'Last decision'],
  ],
  ['control', 'Batch lane beside live requests', ['Batch worker', 'State', '#Executors', '#Longest run', '#Slack', '#Floor runs']],
  ['inflation', 'What the batch lane costs live requests', ['Model', 'Worker', '#p99 shared', '#p99 alone', '#Inflation']],
  ['processes', 'Other processes', ['Process', 'State', '#pid', '#Restarts', 'Last end']],
  ['breakers', 'Circuit breakers', ['Before', 'State', '#Opened', 'Since']],
  ['tenants', 'Tenants', ['Tenant', '#Share', '#Used', '#Waiting or running', '#Refused']],
  ['tiers', 'Service tiers', ['Tier', '#Requests', '#Requests/s']],
  ['grpc', 'gRPC', ['Method', '#Open', 'Ended']],
  ['cache', 'Kept answers', ['Model', '#Hits', '#Misses', '#Hits of all', '#Size']],
  ['keys', 'Keys', ['Keys', '#Count']],
  ['batches', 'Batches', ['Batch', 'Status', 'Progress', '#Rows', '#Failed', 'Model', 'Endpoint', 'Created']],
];

/** Shown where there is one only. */
const FLEET = 'fleet';

const table = ([id, title, columns]: (typeof TABLES)[number]): string => {
  const heads = columns.map((column) => (column.startsWith('#') ? `<th class="number">${column.slice(1)}</th>` : `<th>${column}</th>`));
  return `<section${id === FLEET ? ' hidden' : ''}><h2>${title}</h2><div class="scroll"><table><thead><tr>${heads.join('')}</tr></thead><tbody id="${id}"></tbody></table></div></section>`;
};

/** The dashboard. Everything is in the document: it works without any other host. */
export const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Interleave</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><header><h1>Interleave</h1><span id="summary" role="status">loading</span>
<nav><a href="/admin/queues">Queues</a><a href="/metrics">Metrics</a><a href="/docs">API</a><a href="/login">Session</a></nav></header>
<noscript><p>This page needs JavaScript; the same numbers are at <a href="/metrics">/metrics</a>.</p></noscript>
<main>${TABLES.map(table).join('\n')}</main>
<script>${PAGE_SCRIPT}</script></body></html>
`;

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Only this script and this style, and requests to this server. */
export const PAGE_SECURITY_POLICY = `default-src 'none'; base-uri 'none'; connect-src 'self'; img-src data:; script-src ${hashOf(PAGE_SCRIPT)}; style-src ${hashOf(STYLE)}`;
