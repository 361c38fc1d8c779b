import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface Page {
  readonly html: string;
  /** What the page may load and run: itself, and nothing from elsewhere. */
  readonly contentSecurityPolicy: string;
}

/** The page with its style and script in it. The three files are beside this module, as source and when built. */
export async function loadPage(): Promise<Page> {
  const read = (name: string): Promise<string> => readFile(new URL(`./page/${name}`, import.meta.url), 'utf8');
  const [html, style, script] = await Promise.all([read('page.html'), read('page.css'), read('page.js')]);
  return {
    // Functions, because `$&` and the like in what is put in would mean something.
    html: html.replace('/* style */', () => style).replace('/* script */', () => script),
    contentSecurityPolicy: [
      "default-src 'none'",
      `style-src ${hashSource(style)}`,
      `script-src ${hashSource(script)}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      // Names and labels of containers are anybody's text: none of it may become markup.
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
  };
}

function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
