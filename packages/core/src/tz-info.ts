/** The C library whose rules decide what a time zone setting means. */
export type Libc = 'glibc' | 'musl';

/** One kind of local time. */
export interface ZoneType {
  /** As `date +%Z` prints it; empty where the C library prints nothing. */
  readonly abbreviation: string;
  /** Seconds east of UTC. */
  readonly offset: number;
  readonly isDst: boolean;
}

/** The day and time of a yearly change, in the local time that holds before it. */
export type ZoneRuleChange =
  /** `Mm.w.d`: the `week`th (5: the last) `weekday` (0: Sunday) of `month` (1 to 12). */
  | {
      readonly kind: 'month';
      readonly month: number;
      readonly week: number;
      readonly weekday: number;
      /** Seconds after midnight; may be negative or more than a day. */
      readonly time: number;
    }
  /** `Jn`: day 1 to 365, 29 February is never counted. */
  | { readonly kind: 'julian'; readonly day: number; readonly time: number }
  /** `n`: day 0 to 365, 29 February is counted. */
  | { readonly kind: 'zero-based'; readonly day: number; readonly time: number };

/** What a POSIX TZ string says. */
export interface ZoneRule {
  readonly standard: ZoneType;
  /** Absent for a zone without daylight saving time. */
  readonly daylight?: ZoneType & { readonly start: ZoneRuleChange; readonly end: ZoneRuleChange };
}

/** Offsets and abbreviations of a time zone at every instant. Plain data, frozen, shared by equal zones. */
export interface ZoneTable {
  /** The first holds before the first transition, and always when there is neither a transition nor a rule. */
  readonly types: readonly ZoneType[];
  /** Unix seconds, ascending. Those that the rule gives as well are left out. */
  readonly transitions: readonly number[];
  /** For each transition the index in `types` of what begins there. */
  readonly transitionTypes: readonly number[];
  /** Holds from the last transition on; always when there is no transition. */
  readonly rule?: ZoneRule;
}

/** `TzInfo.name` of a time zone that fits no name. */
export const UNKNOWN_TIME_ZONE = 'UNKNOWN';

/**
 * A container's effective time zone, as the C library in it sees it. Plain data, safe to stringify and to clone;
 * `zoneAt` gives abbreviation and offset at any instant.
 */
export interface TzInfo extends ZoneTable {
  /**
   * An IANA name, the POSIX string of the environment, `UTC`, or `UNKNOWN` where the zone's offsets are not those of
   * its name and no other name fits.
   */
  readonly name: string;
  /** The variable `TZ` as it is set; absent when it is not set. */
  readonly envTz?: string;
  /**
   * The zone that `/etc/localtime` names by its link, or by its content where the content decides. Absent when there
   * is no name in it. It has no effect while `envTz` is present.
   */
  readonly etcLocaltime?: string;
  /** The abbreviation at `at`. */
  readonly zone: string;
  /** The offset at `at`, in seconds east of UTC. */
  readonly offset: number;
  /** The instant of `zone` and `offset`, ISO 8601. */
  readonly at: string;
  /** Whose rules were applied. */
  readonly libc: Libc;
  /** True when the root showed no C library (a static program, say) and none was given: then it is glibc. */
  readonly libcAssumed: boolean;
}
