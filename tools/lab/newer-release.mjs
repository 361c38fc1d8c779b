// @ts-check
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { arch, homedir } from 'node:os';
import { join } from 'node:path';
import { withLabLock } from './lab-directory.mjs';
import { aptGet, requireEngineMachine, requireProgram, unavailable } from './machine.mjs';
import { engineEnvironment, runProgram } from './processes.mjs';

/**
 * `current`: the engines of this machine's own release. `next`: dockerd and containerd of the Debian release after it.
 * `rolling`: containerd of Debian's unstable, the newest there is.
 * @typedef {'current' | 'next' | 'rolling'} Release
 */

/** @typedef {Exclude<Release, 'current'>} NewerRelease */

/** @type {Readonly<Record<string, string>>} */
const RELEASE_AFTER = { bookworm: 'trixie', trixie: 'forky' };

/**
 * runc is not among them: it is linked against the release's own C library, and the machine's serves.
 * @type {Readonly<Record<NewerRelease, Readonly<Record<string, string>>>>} a program of each package, to see that it runs
 */
const PACKAGES = {
  next: { 'docker.io': 'usr/sbin/dockerd', containerd: 'usr/bin/containerd' },
  rolling: { containerd: 'usr/bin/containerd' },
};

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** @returns {string | undefined} */
function currentCodename() {
  if (!existsSync('/etc/os-release')) return undefined;
  return /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
}

/**
 * @param {NewerRelease} release
 * @returns {string}
 */
function codenameOf(release) {
  if (release === 'rolling') return 'sid';
  const codename = RELEASE_AFTER[currentCodename() ?? ''];
  if (codename === undefined) throw unavailable(`the release after ${currentCodename() ?? 'this system'} is not known`);
  return codename;
}

/**
 * @param {NewerRelease} release
 * @returns {string} the folder, kept from run to run, that the packages are unpacked into
 */
function unpackedFolder(release) {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'crikit-lab', `${codenameOf(release)}-${arch()}`);
}

/**
 * @param {Release} release
 * @returns {string[]} folders to search for programs before the system's; they may not exist yet
 */
export function programFolders(release) {
  return release === 'current' ? [] : ['usr/sbin', 'usr/bin'].map((folder) => join(unpackedFolder(release), folder));
}

/**
 * Downloads and unpacks a newer release's engines unless the cache has them. The machine's own packages and package lists
 * are not touched.
 * @param {NewerRelease} release
 */
export async function ensureNewerRelease(release) {
  requireEngineMachine();
  const folder = unpackedFolder(release);
  if (existsSync(folder)) return;
  const cache = join(folder, '..');
  mkdirSync(cache, { recursive: true, mode: 0o755 });
  await withLabLock(cache, undefined, async () => {
    if (existsSync(folder)) return;
    // What a download that was killed left behind.
    for (const name of readdirSync(cache)) {
      if (name.startsWith('download-')) rmSync(join(cache, name), { recursive: true, force: true });
    }
    const download = mkdtempSync(join(cache, 'download-'));
    try {
      const unpacked = await downloadPackages(download, release);
      renameSync(unpacked, folder);
    } catch (error) {
      throw unavailable(
        `cannot get the engines of Debian's ${codenameOf(release)}: ${error instanceof Error ? error.message : error}`,
        error,
      );
    } finally {
      rmSync(download, { recursive: true, force: true });
    }
  });
}

/**
 * @param {string} download an empty folder
 * @param {NewerRelease} release
 * @returns {Promise<string>} the folder with the unpacked packages
 */
async function downloadPackages(download, release) {
  for (const folder of ['lists/partial', 'cache/archives/partial', 'unpacked']) {
    mkdirSync(join(download, folder), { recursive: true, mode: 0o755 });
  }
  const sourceList = join(download, 'sources.list');
  const signedBy = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  writeFileSync(sourceList, `deb ${signedBy}${await findMirror()} ${codenameOf(release)} main\n`);
  const ownState = Object.entries({
    'Dir::Etc::SourceList': sourceList,
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Lists': join(download, 'lists'),
    'Dir::Cache': join(download, 'cache'),
    // apt's own user cannot write to our folder.
    'APT::Sandbox::User': 'root',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await aptGet(download, ...ownState, 'update');
  await aptGet(download, ...ownState, 'download', ...Object.keys(PACKAGES[release]));
  const unpacked = join(download, 'unpacked');
  for (const name of readdirSync(download).filter((name) => name.endsWith('.deb'))) {
    await runProgram(requireProgram('dpkg'), ['-x', join(download, name), unpacked]);
  }
  for (const program of Object.values(PACKAGES[release])) {
    await runProgram(join(unpacked, program), ['--version'], { environment: engineEnvironment() });
  }
  return unpacked;
}

/** @returns {Promise<string>} the address that this machine has its own release's main packages from */
async function findMirror() {
  const { stdout } = await aptGet(
    '/',
    'indextargets',
    '--format',
    '$(REPO_URI) $(RELEASE) $(COMPONENT)',
    'Created-By: Packages',
  );
  const targets = stdout.split('\n').map((line) => line.split(' '));
  const mirror = targets.find(([, release, component]) => release === currentCodename() && component === 'main')?.[0];
  if (mirror === undefined)
    throw new Error(`no source for ${currentCodename()} main among this machine's package sources`);
  return mirror;
}
