import { InvalidArgumentError, UserNotFoundError } from '@crikit/core';

export interface ExecUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

/** The text of a container's own files; undefined for one that does not exist. */
export interface UserFiles {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

// As runc has it: ids are signed 32-bit numbers there.
const largestId = 0x7fffffff;

/** True for a user that is all numbers, so that no file is needed to know it. */
export function isNumericUser(user: string): boolean {
  return /^\d+(:\d+)?$/.test(user);
}

/**
 * The user of an exec as Docker understands it: `user`, `uid`, `user:group`, in any mix of names and numbers. A user
 * without a group has the groups of the container's files; a number that no file knows has group 0. The group itself is
 * among the additional ones, lest the process passes for a member of no group where a file denies that group access.
 * Throws `UserNotFoundError` for a name that the files do not have.
 */
export function resolveUser(
  wanted: string,
  files: UserFiles,
  about: { readonly engine: string; readonly container: string },
): ExecUser {
  const colon = wanted.indexOf(':');
  const userText = colon === -1 ? wanted : wanted.slice(0, colon);
  const groupText = colon === -1 ? '' : wanted.slice(colon + 1);
  const missing = (what: string, name: string): UserNotFoundError =>
    new UserNotFoundError(`Container ${about.container} has no ${what} '${name}'.`, {
      engine: about.engine,
      applied: 'no',
    });

  const users = parsePasswd(files.passwd ?? '');
  const groups = parseGroup(files.group ?? '');
  const userNumber = parseId(userText);
  const user = users.find(({ name, uid }) => name === userText || uid === userNumber);
  const uid = user?.uid ?? userNumber ?? (userText === '' ? 0 : undefined);
  if (uid === undefined) throw missing('user', userText);
  if (groupText !== '') {
    const groupNumber = parseId(groupText);
    const gid = groups.find(({ name, gid: id }) => name === groupText || id === groupNumber)?.gid ?? groupNumber;
    if (gid === undefined) throw missing('group', groupText);
    return { uid, gid, additionalGids: [gid] };
  }
  const gid = user?.gid ?? 0;
  const further = user === undefined ? [] : groups.filter(({ members }) => members.includes(user.name));
  return { uid, gid, additionalGids: [...new Set([gid, ...further.map((group) => group.gid)])] };
}

export function parsePasswd(text: string): PasswdEntry[] {
  return fieldsOf(text).flatMap(([name, , uid, gid]) => {
    const ids = { uid: readId(uid), gid: readId(gid) };
    return name === undefined || name === '' || ids.uid === undefined || ids.gid === undefined
      ? []
      : [{ name, uid: ids.uid, gid: ids.gid }];
  });
}

export function parseGroup(text: string): GroupEntry[] {
  return fieldsOf(text).flatMap(([name, , id, members = '']) => {
    const gid = readId(id);
    return name === undefined || name === '' || gid === undefined
      ? []
      : [{ name, gid, members: members.split(',').filter((member) => member !== '') }];
  });
}

function fieldsOf(text: string): string[][] {
  return text.split('\n').map((line) => line.trim().split(':'));
}

function readId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id > largestId ? undefined : id;
}

function parseId(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = readId(text);
  if (id === undefined) throw new InvalidArgumentError(`'${text}' is no id of a user or group.`);
  return id;
}
