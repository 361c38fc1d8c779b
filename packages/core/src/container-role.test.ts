import { describe, expect, it } from 'vitest';
import {
  type AssignRolesInput,
  assignContainerRoles,
  DEFAULT_CONTAINER_ANNOTATION,
  DEFAULT_SIDECAR_RULES,
  INJECTED_PROXY_SIDECARS,
  parseSidecarRules,
  type RoleCandidate,
} from './container-role.js';
import type { KubernetesPod } from './kubernetes-pod.js';

const candidate = (k8sName: string, more: Partial<RoleCandidate> = {}): RoleCandidate => ({
  id: `id-${k8sName}`,
  k8sName,
  env: {},
  isSandbox: false,
  ...more,
});

const podOf = (spec: NonNullable<KubernetesPod['spec']>): KubernetesPod => ({ spec });

function roles(input: Partial<AssignRolesInput> & Pick<AssignRolesInput, 'containers'>): Record<string, string> {
  const assigned = assignContainerRoles({ annotations: {}, rules: parseSidecarRules(DEFAULT_SIDECAR_RULES), ...input });
  return Object.fromEntries([...assigned].map(([id, { role }]) => [id.replace('id-', ''), role]));
}

function reasonOf(input: Partial<AssignRolesInput> & Pick<AssignRolesInput, 'containers'>, name: string): string {
  const assigned = assignContainerRoles({ annotations: {}, rules: parseSidecarRules(DEFAULT_SIDECAR_RULES), ...input });
  return assigned.get(`id-${name}`)?.reason ?? 'no role';
}

describe('parseSidecarRules', () => {
  it('reads names and exact environment pairs in order', () => {
    expect(parseSidecarRules('name:sidecar, name:proxy,env:ROLE:sidecar,env:URL:http://x:1')).toEqual([
      { kind: 'name', part: 'sidecar' },
      { kind: 'name', part: 'proxy' },
      { kind: 'env', name: 'ROLE', value: 'sidecar' },
      { kind: 'env', name: 'URL', value: 'http://x:1' },
    ]);
  });

  it('has no rules in the empty expression', () => {
    expect(parseSidecarRules('  ')).toEqual([]);
  });

  it.each(['sidecar', 'name:', 'name:a:b', 'env:ROLE', 'env:ROLE:', 'env::x', 'label:x', 'name:a,', 'NAME:x'])(
    'refuses %j and shows the bad part',
    (expression) => {
      const bad = expression.split(',').at(-1);
      expect(() => parseSidecarRules(expression)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`'${bad}'`) }),
      );
    },
  );

  it('reads the preset of injected proxies', () => {
    const rules = parseSidecarRules(`${DEFAULT_SIDECAR_RULES},${INJECTED_PROXY_SIDECARS}`);
    const object = podOf({ containers: [{ name: 'web' }, { name: 'istio-proxy' }] });
    expect(roles({ object, rules, containers: [candidate('web'), candidate('istio-proxy')] })).toEqual({
      web: 'biz',
      'istio-proxy': 'sidecar',
    });
  });
});

describe('assignContainerRoles', () => {
  const object = podOf({
    containers: [{ name: 'web' }, { name: 'log-sidecar' }],
    initContainers: [{ name: 'setup' }, { name: 'mesh', restartPolicy: 'Always' }],
    ephemeralContainers: [{ name: 'debugger' }],
  });

  it('tells sandbox, init, native sidecar, ephemeral, sidecar and biz apart', () => {
    const names = ['web', 'log-sidecar', 'setup', 'mesh', 'debugger'];
    const containers = [candidate('POD', { isSandbox: true }), ...names.map((name) => candidate(name))];
    expect(roles({ object, containers })).toEqual({
      POD: 'sandbox',
      web: 'biz',
      'log-sidecar': 'sidecar',
      setup: 'init',
      mesh: 'sidecar',
      debugger: 'ephemeral',
    });
    expect(reasonOf({ object, containers }, 'mesh')).toContain('native sidecar');
    expect(reasonOf({ object, containers }, 'log-sidecar')).toBe("sidecar rule 'name:sidecar'");
    expect(reasonOf({ object, containers }, 'web')).toBe('no sidecar rule fits');
  });

  it('never makes biz of a container that the known spec does not have', () => {
    expect(roles({ object, containers: [candidate('web'), candidate('debugger-just-attached')] })).toEqual({
      web: 'biz',
      'debugger-just-attached': 'ephemeral',
    });
  });

  it('makes the only container of a spec biz whatever rules and native sidecars say', () => {
    const single = podOf({
      containers: [{ name: 'sidecar' }],
      initContainers: [{ name: 'mesh', restartPolicy: 'Always' }],
    });
    const containers = [candidate('sidecar'), candidate('mesh')];
    expect(roles({ object: single, containers })).toEqual({ sidecar: 'biz', mesh: 'sidecar' });
    expect(roles({ object: single, containers, rules: () => true })).toEqual({ sidecar: 'biz', mesh: 'sidecar' });
  });

  it('lets the default-container annotation name the biz container against any rule', () => {
    const annotations = { [DEFAULT_CONTAINER_ANNOTATION]: 'log-sidecar' };
    const containers = [candidate('web'), candidate('log-sidecar')];
    expect(roles({ object, annotations, containers })).toEqual({ web: 'sidecar', 'log-sidecar': 'biz' });
    expect(reasonOf({ object, annotations, containers }, 'web')).toContain("names 'log-sidecar'");
  });

  it.each(['nobody', 'setup', 'debugger', ''])(
    'passes over an annotation that names %j, no regular container',
    (name) => {
      const annotations = { [DEFAULT_CONTAINER_ANNOTATION]: name };
      expect(roles({ object, annotations, containers: [candidate('web'), candidate('log-sidecar')] })).toEqual({
        web: 'biz',
        'log-sidecar': 'sidecar',
      });
    },
  );

  it('matches an environment rule on the exact pair only', () => {
    const rules = parseSidecarRules('env:ROLE:sidecar');
    const three = podOf({ containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] });
    const containers = [
      candidate('a', { env: { ROLE: 'sidecar' } }),
      candidate('b', { env: { ROLE: 'sidecars' } }),
      candidate('c'),
    ];
    expect(roles({ object: three, rules, containers })).toEqual({ a: 'sidecar', b: 'biz', c: 'biz' });
  });

  it('keeps the role of an environment rule when the engine has forgotten the environment', () => {
    const rules = parseSidecarRules('env:ROLE:sidecar');
    const two = podOf({ containers: [{ name: 'a', env: [{ name: 'ROLE', value: 'sidecar' }] }, { name: 'b' }] });
    expect(roles({ object: two, rules, containers: [candidate('a'), candidate('b')] }).a).toBe('sidecar');
  });

  it('lets a function replace the rules and tells it the pod', () => {
    const rules = ({ k8sName }: RoleCandidate, pod: { object?: KubernetesPod | undefined }) =>
      k8sName === 'web' && pod.object === object;
    expect(roles({ object, rules, containers: [candidate('web'), candidate('log-sidecar')] })).toEqual({
      web: 'sidecar',
      'log-sidecar': 'biz',
    });
  });

  it('does not change a role when another container of the spec is gone', () => {
    expect(roles({ object, containers: [candidate('log-sidecar')] })).toEqual({ 'log-sidecar': 'sidecar' });
  });

  describe('without a spec', () => {
    it('makes the only container that the labels show biz', () => {
      const containers = [candidate('POD', { isSandbox: true }), candidate('sidecar')];
      expect(roles({ containers })).toEqual({ POD: 'sandbox', sidecar: 'biz' });
    });

    it('does not change a role when the other container is gone', () => {
      const knownContainerNames = ['web', 'sidecar'];
      expect(roles({ containers: [candidate('sidecar')], knownContainerNames })).toEqual({ sidecar: 'sidecar' });
    });

    it('counts a restarted container once', () => {
      const containers = [candidate('sidecar'), candidate('sidecar', { id: 'id-again' })];
      expect(roles({ containers })).toEqual({ sidecar: 'biz', again: 'biz' });
    });

    it('gives a container without a name in a spec the role biz', () => {
      expect(roles({ containers: [{ id: 'id-x', env: {}, isSandbox: false }] })).toEqual({ x: 'biz' });
    });
  });
});
