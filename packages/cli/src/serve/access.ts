/** Who may ask: what a web page of somebody else, or another user of this machine, must not be able to do. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP, isIPv4 } from 'node:net';
import { InvalidArgumentError } from '@crikit/core';

const minTokenLength = 16;

export function createToken(): string {
  return randomBytes(24).toString('base64url');
}

/** Throws `InvalidArgumentError` for a token that is easily guessed or cannot stand in a header. */
export function requireToken(token: string): string {
  if (token.length < minTokenLength || !/^[\x21-\x7e]+$/.test(token)) {
    throw new InvalidArgumentError(
      `The token must have at least ${minTokenLength} characters, printable ASCII without spaces.`,
    );
  }
  return token;
}

/** True for an address, or `localhost`, that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'));
}

/**
 * Whether a request's Host header is one that leads here by itself. A page of another site can make its own name lead to
 * this address (DNS rebinding) and is then, for the browser, the origin of these answers; but its requests carry that
 * name. So on loopback only loopback's names count; on another address that address too; and where all addresses are
 * listened on, any address, for an address cannot be rebound.
 */
export function isHostAllowed(header: string | undefined, listening: string): boolean {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/i.exec(header ?? '') ?? [];
  const name = (bracketed ?? plain)?.toLowerCase();
  if (name === undefined) return false;
  if (isLoopback(name)) return true;
  if (isLoopback(listening)) return false;
  return listening === '0.0.0.0' || listening === '::' ? isIP(name) !== 0 : name === listening.toLowerCase();
}

export interface Access {
  isTokenRight(token: string): boolean;
  /** By `Authorization: Bearer`, or by the cookie. */
  isAuthorized(headers: IncomingHttpHeaders): boolean;
  /** A `Set-Cookie` that stands for the token, and ends with the browser's session. */
  cookie(port: number): string;
}

export function createAccess(token: string): Access {
  const right = digest(token);
  // The token itself stays out of the browser's store of cookies.
  const cookieValue = digest(`cookie\0${token}`).toString('base64url');
  const rightCookie = digest(cookieValue);
  const equals = (given: string, expected: Buffer): boolean => timingSafeEqual(digest(given), expected);
  return {
    isTokenRight: (given) => equals(given, right),
    isAuthorized: ({ authorization, cookie }) => {
      const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
      if (bearer !== undefined) return equals(bearer, right);
      return cookieValues(cookie ?? '').some((value) => equals(value, rightCookie));
    },
    // Lax, not Strict: the address may be followed from a chat or a ticket, and nothing here changes anything.
    cookie: (port) => `crikit-${port}=${cookieValue}; Path=/; HttpOnly; SameSite=Lax`,
  };
}

/** Those of other ports of this host come along: browsers tell cookies apart by the host's name only. */
function cookieValues(header: string): readonly string[] {
  return header.split(';').flatMap((part) => {
    const [name = '', value] = part.trim().split('=', 2);
    return /^crikit-\d+$/.test(name) && value !== undefined ? [value] : [];
  });
}

/** Of equal length whatever is given, so that comparing takes the same time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
