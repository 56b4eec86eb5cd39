import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --soft: #667; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --soft: #99a; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 12vh auto 0; max-width: 26rem; padding: 1.2rem; }
h1 { font-size: 1.35rem; margin: 0 0 1rem; }
label { display: block; margin-bottom: .3rem; }
input, button { font: inherit; padding: .45rem .7rem; border: 1px solid var(--line); border-radius: .3rem; }
input { width: 100%; margin-bottom: .8rem; }
p { color: var(--soft); } .bad { color: var(--bad); }
`;

const page = (content: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Interleave: log in</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><main><h1>Interleave</h1>
${content}
</main></body></html>
`;

/** `problem`: why the last try failed. Nothing of what was sent is shown again. */
export const loginPage = (problem: string | null): string =>
  page(`${problem === null ? '' : `<p class="bad" role="alert">${problem}</p>\n`}<form method="post" action="/login">
<label for="key">Key of an operator</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus maxlength="512">
<button>Log in</button></form>
<p>Make one on the node: <code>interleave keys add --tenant default --operator</code></p>`);

export const loggedInPage = (): string =>
  page(`<p>You are logged in. Go to the <a href="/dashboard">dashboard</a>.</p>
<form method="post" action="/logout"><button>Log out</button></form>`);

/** Only this style, and forms to this server. */
export const LOGIN_SECURITY_POLICY = `default-src 'none'; base-uri 'none'; img-src data:; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;
