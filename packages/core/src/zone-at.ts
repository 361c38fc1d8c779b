import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import type { ZoneTable, ZoneType } from './tz-info.js';
import { typeAt } from './zone-type-at.js';

/**
 * Abbreviation, offset (seconds east of UTC) and daylight saving time of a time zone at an instant: a `Date`,
 * milliseconds since 1970, or an ISO 8601 text. Throws `InvalidArgumentError` for what is no instant.
 */
export function zoneAt(tz: ZoneTable, instant: Date | number | string): ZoneType {
  const milliseconds = new Date(instant).getTime();
  if (Number.isNaN(milliseconds)) throw new InvalidArgumentError(`'${String(instant)}' is no instant.`);
  const { abbreviation, offset, isDst } = typeAt(tz, Math.floor(milliseconds / 1000));
  return { abbreviation, offset, isDst };
}
