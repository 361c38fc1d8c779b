import { type Container, type TzInfo, zoneAt } from '@crikit/core';
import { redactEnvironment } from '../redact-environment.js';

/** A time zone without its table of transitions; abbreviation and offset hold at the instant of the answer. */
export interface TimeZoneView
  extends Pick<TzInfo, 'name' | 'envTz' | 'etcLocaltime' | 'zone' | 'offset' | 'at' | 'libc'> {}

/** A container as the HTTP interface shows it: that of the store, without the values of its environment. */
export interface ContainerView extends Omit<Container, 'tz'> {
  readonly tz?: TimeZoneView;
}

export function viewContainer(container: Container, nowMs: number): ContainerView {
  const { tz, env, ...rest } = container;
  return {
    ...rest,
    env: redactEnvironment(env),
    ...(tz === undefined ? {} : { tz: viewTimeZone(tz, nowMs) }),
  };
}

function viewTimeZone(tz: TzInfo, nowMs: number): TimeZoneView {
  const { abbreviation, offset } = zoneAt(tz, nowMs);
  return {
    name: tz.name,
    ...(tz.envTz === undefined ? {} : { envTz: tz.envTz }),
    ...(tz.etcLocaltime === undefined ? {} : { etcLocaltime: tz.etcLocaltime }),
    zone: abbreviation,
    offset,
    at: new Date(nowMs).toISOString(),
    libc: tz.libc,
  };
}
