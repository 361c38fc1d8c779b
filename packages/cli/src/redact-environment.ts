export const REDACTED = '***';

/** The names of the variables, each with the value `***`: values of environment variables are secrets. */
export function redactEnvironment(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(environment).map((name) => [name, REDACTED]));
}
