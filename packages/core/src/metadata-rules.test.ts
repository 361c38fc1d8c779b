import { describe, expect, it } from 'vitest';
import type { KubernetesPod } from './kubernetes-pod.js';
import { parseMetadataRules, resolveApp, resolvePodHostname } from './metadata-rules.js';

const object: KubernetesPod = {
  spec: {
    hostname: 'web-host',
    containers: [
      { name: 'first', env: [{ name: 'EMPTY', value: '' }, { name: 'FROM_SECRET' }] },
      {
        name: 'second',
        env: [
          { name: 'APP_NAME', value: 'shop' },
          { name: 'EMPTY', value: 'no' },
        ],
      },
    ],
  },
};

describe('parseMetadataRules', () => {
  it('reads labels under both words and environment names', () => {
    expect(parseMetadataRules('label:app,env:APP_NAME, k8slabel:example.com/x')).toEqual([
      { kind: 'label', key: 'app' },
      { kind: 'env', name: 'APP_NAME' },
      { kind: 'label', key: 'example.com/x' },
    ]);
  });

  it('has no rules in the empty expression', () => {
    expect(parseMetadataRules('')).toEqual([]);
  });

  it.each(['app', 'label:', 'label:a:b', 'annotation:x', 'label:a,', ':x'])(
    'refuses %j and shows the bad part',
    (text) => {
      const bad = text.split(',').at(-1);
      expect(() => parseMetadataRules(text)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`'${bad}'`) }),
      );
    },
  );
});

describe('resolveApp', () => {
  const labels = { app: 'plain', 'app.kubernetes.io/name': 'standard', team: 'a', blank: '' };

  it('prefers the first rule that has a value and tells which', () => {
    const rules = parseMetadataRules('label:missing,label:blank,env:APP_NAME,label:team');
    expect(resolveApp({ name: 'p', labels, object }, rules)).toEqual({
      value: 'shop',
      reason: "rule 'env:APP_NAME', container second",
    });
  });

  it('passes over values that are empty or not constant', () => {
    const rules = parseMetadataRules('env:FROM_SECRET,env:EMPTY');
    expect(resolveApp({ name: 'p', labels: {}, object }, rules)?.value).toBe('no');
  });

  it('falls back to the standard labels, the long one first', () => {
    expect(resolveApp({ name: 'p', labels })).toEqual({
      value: 'standard',
      reason: 'standard label app.kubernetes.io/name',
    });
    expect(resolveApp({ name: 'p', labels: { app: 'plain' } })?.value).toBe('plain');
  });

  it('is undefined when nothing names one', () => {
    expect(resolveApp({ name: 'p', labels: {} }, parseMetadataRules('env:APP_NAME,label:toString'))).toBeUndefined();
  });
});

describe('resolvePodHostname', () => {
  it('takes the label HOSTNAME, then the hostname of the spec, then the name', () => {
    expect(resolvePodHostname({ name: 'p', labels: { HOSTNAME: 'by-label' }, object }).value).toBe('by-label');
    expect(resolvePodHostname({ name: 'p', labels: {}, object })).toEqual({
      value: 'web-host',
      reason: "the spec's hostname",
    });
    expect(resolvePodHostname({ name: 'p', labels: {} })).toEqual({ value: 'p', reason: "the pod's name" });
  });

  it('replaces the default rule by those given', () => {
    const labels = { HOSTNAME: 'by-label', host: 'mine' };
    expect(resolvePodHostname({ name: 'p', labels, object }, parseMetadataRules('label:host')).value).toBe('mine');
    expect(resolvePodHostname({ name: 'p', labels, object }, []).value).toBe('web-host');
  });
});
