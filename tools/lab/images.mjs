// @ts-check
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { dockerRequest } from './docker-api.mjs';
import { LabError } from './lab-error.mjs';
import { ensureInstalled, requireProgram } from './machine.mjs';
import { runProgram } from './processes.mjs';
import { createTar } from './tar.mjs';

/**
 * The images that the lab makes without any registry:
 * - `busybox`: busybox-static with all its applets, only root in /etc/passwd;
 * - `users`: the same with users and groups, /usr/share/zoneinfo and Asia/Shanghai as /etc/localtime;
 * - `noShell`: /bin/sleep and /bin/cat, nothing else: no shell, no tar, no /etc. Pod sandboxes use it too.
 */
export const IMAGES = Object.freeze({
  busybox: 'crikit-lab/busybox:1',
  users: 'crikit-lab/users:1',
  noShell: 'crikit-lab/no-shell:1',
});

/** Debian packages for the images, by the path that shows that they are there. */
export const IMAGE_PACKAGES = { busybox: 'busybox-static', '/usr/share/zoneinfo/Asia/Shanghai': 'tzdata' };

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** @typedef {import('./tar.mjs').TarEntry} TarEntry */
/** @typedef {{ name: string, command: string[], entries: () => Promise<TarEntry[]> }} ImageRecipe */

/** @type {readonly ImageRecipe[]} */
const RECIPES = [
  { name: IMAGES.busybox, command: ['sh'], entries: busyboxEntries },
  { name: IMAGES.users, command: ['sh'], entries: usersEntries },
  { name: IMAGES.noShell, command: ['/bin/sleep', '1000000'], entries: noShellEntries },
];

/** @param {string} path @returns {TarEntry} */
const directory = (path, mode = 0o755, owner = 0) => ({ path, type: 'directory', mode, uid: owner, gid: owner });
/** @param {string} path @param {Buffer | string} content @returns {TarEntry} */
const file = (path, content, mode = 0o644) => ({ path, type: 'file', content, mode });

/** @returns {Promise<TarEntry[]>} */
async function systemEntries() {
  const program = requireProgram('busybox');
  const applets = (await runProgram(program, ['--list-full'])).stdout.split('\n').filter(Boolean);
  return [
    ...['bin', 'sbin', 'usr', 'usr/bin', 'usr/sbin', 'dev', 'proc', 'sys', 'etc', 'var', 'run', 'mnt'].map((path) =>
      directory(path),
    ),
    directory('root', 0o700),
    directory('tmp', 0o1777),
    file('bin/busybox', readFileSync(program), 0o755),
    ...applets
      .filter((path) => path !== 'bin/busybox')
      .map((path) => /** @type {TarEntry} */ ({ path, type: 'symlink', target: '/bin/busybox', mode: 0o777 })),
  ];
}

/** @returns {Promise<TarEntry[]>} */
async function busyboxEntries() {
  return [
    ...(await systemEntries()),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    file('etc/group', 'root:x:0:\n'),
    file('etc/hostname', 'busybox\n'),
  ];
}

/** @returns {Promise<TarEntry[]>} */
async function usersEntries() {
  return [
    ...(await systemEntries()),
    file(
      'etc/passwd',
      [
        'root:x:0:0:root:/root:/bin/sh',
        'app:x:1000:1000:Application:/home/app:/bin/sh',
        'worker:x:1001:1001:Worker:/home/worker:/bin/sh',
        'nobody:x:65534:65534:nobody:/nonexistent:/bin/false',
        '',
      ].join('\n'),
    ),
    file(
      'etc/group',
      [
        'root:x:0:',
        'app:x:1000:',
        'worker:x:1001:',
        'shared:x:2000:app,worker',
        'audit:x:2001:app',
        'nogroup:x:65534:',
        '',
      ].join('\n'),
    ),
    file('etc/hostname', 'users\n'),
    directory('home'),
    directory('home/app', 0o755, 1000),
    directory('home/worker', 0o755, 1001),
    file('etc/timezone', 'Asia/Shanghai\n'),
    { path: 'etc/localtime', type: 'symlink', target: '/usr/share/zoneinfo/Asia/Shanghai', mode: 0o777 },
    directory('usr/share'),
    directory('usr/share/zoneinfo'),
    ...copyTree('/usr/share/zoneinfo', 'usr/share/zoneinfo'),
  ];
}

/** @returns {Promise<TarEntry[]>} */
async function noShellEntries() {
  return [
    ...['bin', 'dev', 'proc', 'sys', 'etc'].map((path) => directory(path)),
    directory('tmp', 0o1777),
    file('bin/sleep', readFileSync(requireProgram('busybox')), 0o755),
    { path: 'bin/cat', type: 'hardlink', target: 'bin/sleep', mode: 0o755 },
  ];
}

/**
 * @param {string} source
 * @param {string} destination
 * @returns {TarEntry[]}
 */
function copyTree(source, destination) {
  return readdirSync(source, { withFileTypes: true }).flatMap((entry) => {
    const from = join(source, entry.name);
    const path = `${destination}/${entry.name}`;
    if (entry.isDirectory()) return [directory(path), ...copyTree(from, path)];
    if (!entry.isSymbolicLink()) return [file(path, readFileSync(from))];
    const target = readlinkSync(from);
    // Debian links out of the tree (localtime -> /etc/localtime): such a link is of no use in an image.
    return target.startsWith('/') ? [] : [/** @type {TarEntry} */ ({ path, type: 'symlink', target, mode: 0o777 })];
  });
}

/**
 * Makes the lab's images in a Docker daemon; those that it has already are left alone.
 * @param {{ endpoint: string }} daemon
 * @returns {Promise<typeof IMAGES>} their names
 */
export async function ensureImages({ endpoint }) {
  await ensureInstalled(IMAGE_PACKAGES);
  for (const recipe of RECIPES) {
    if (await hasImage(endpoint, recipe.name)) continue;
    const tar = createTar(await recipe.entries());
    const query = new URLSearchParams({ fromSrc: '-' });
    query.set('repo', recipe.name.split(':')[0] ?? '');
    query.set('tag', recipe.name.split(':')[1] ?? '');
    query.append('changes', `CMD ${JSON.stringify(recipe.command)}`);
    query.append('changes', `ENV PATH=${SEARCH_PATH}`);
    const reply = await dockerRequest(endpoint, 'POST', `/images/create?${query}`, { body: tar, timeoutMs: 120_000 });
    // The daemon answers 200 and tells of a failure in its progress stream only.
    if (!(await hasImage(endpoint, recipe.name))) {
      throw new LabError('LAB_REQUEST_FAILED', `import of ${recipe.name}: ${JSON.stringify(reply)}`);
    }
  }
  return IMAGES;
}

/**
 * @param {string} endpoint
 * @param {string} name
 */
async function hasImage(endpoint, name) {
  try {
    await dockerRequest(endpoint, 'GET', `/images/${name}/json`);
    return true;
  } catch (error) {
    if (error instanceof LabError && error.statusCode === 404) return false;
    throw error;
  }
}

/**
 * The lab's images as one archive in the layout of `docker save`, which containerd imports too.
 * @returns {Promise<Buffer>}
 */
export async function createImageArchive() {
  await ensureInstalled(IMAGE_PACKAGES);
  /** @type {TarEntry[]} */
  const entries = [];
  const manifest = [];
  for (const recipe of RECIPES) {
    const layer = createTar(await recipe.entries());
    const layerDigest = sha256(layer);
    const config = JSON.stringify({
      architecture: arch() === 'x64' ? 'amd64' : arch(),
      os: 'linux',
      config: { Cmd: recipe.command, Env: [`PATH=${SEARCH_PATH}`] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${layerDigest}`] },
      history: [{ created_by: 'crikit lab' }],
    });
    entries.push(file(`${sha256(config)}.json`, config), file(`${layerDigest}.tar`, layer));
    manifest.push({ Config: `${sha256(config)}.json`, RepoTags: [recipe.name], Layers: [`${layerDigest}.tar`] });
  }
  entries.push(file('manifest.json', JSON.stringify(manifest)));
  return createTar(entries);
}

/** @param {Buffer | string} content */
function sha256(content) {
  return createHash('sha256').update(content).digest('hex');
}
