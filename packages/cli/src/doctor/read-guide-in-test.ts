import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';

/** For tests: the text of docs/doctor.md. */
export function readGuide(): string {
  return readFileSync(join(import.meta.dirname, '../../../../docs/doctor.md'), 'utf8');
}

/** What is wrong with a report by the schema in the guide; empty when nothing is. Throws for a schema that is wrong. */
export function objectionsToReport(report: unknown): string[] {
  const [, schema = ''] = /^```json\n(.*?)^```$/ms.exec(readGuide()) ?? [];
  const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true, strictRequired: false });
  const validate = ajv.compile(JSON.parse(schema) as object);
  validate(report);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
