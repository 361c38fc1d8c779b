import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cgroupNamesContainer,
  containerIdFromCgroup,
  containerIdOfPid,
  containerIdsFromCgroup,
  containerIdsOfPid,
} from './read-cgroup.js';

const id = 'a1'.repeat(32);
const other = 'b2'.repeat(32);
const uid = '0f3c9f0e-6a62-4b5a-9c57-0a1b2c3d4e5f';
const slice = `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`;

describe('containerIdFromCgroup', () => {
  it.each([
    ['docker, v1', `12:pids:/docker/${id}\n1:name=systemd:/docker/${id}\n0::/docker/${id}\n`],
    ['docker, v2, systemd', `0::/system.slice/docker-${id}.scope\n`],
    ['docker, v2, cgroupfs', `0::/docker/${id}\n`],
    ['docker, with a parent', `0::/my/parent/${id}\n`],
    ['docker, pod', `0::/kubepods/burstable/pod${uid}/${id}`],
    ['docker, pod, systemd', `0::/${slice}/docker-${id}.scope`],
    ['containerd, pod, systemd', `0::/${slice}/cri-containerd-${id}.scope`],
    ['containerd, pod, cgroupfs', `11:memory:/kubepods/besteffort/pod${uid}/${id}`],
    ['containerd, static pod', `0::/kubepods/pod${'c'.repeat(32)}/${id}`],
    [
      'containerd, systemd names by cgroupfs',
      `1:name=systemd:/system.slice/containerd.service/x.slice:cri-containerd:${id}`,
    ],
    ['containerd, namespace', `0::/k8s.io/${id}`],
    ['nerdctl', `0::/system.slice/nerdctl-${id}.scope`],
    ['CRI-O, systemd', `0::/${slice}/crio-${id}.scope`],
    ['CRI-O, below its scope', `0::/${slice}/crio-${id}.scope/container`],
    ['CRI-O, cgroupfs', `0::/kubepods/burstable/pod${uid}/crio-${id}`],
    ['Podman', `0::/machine.slice/libpod-${id}.scope/container`],
    ['Podman, payload', `0::/machine.slice/libpod-${id}.scope/libpod-payload-${id}`],
    ['Podman, rootless', `0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope`],
    ['Podman, cgroupfs', `0::/libpod_parent/libpod-${id}`],
    ['Pouch', `5:cpu,cpuacct:/default/${id}`],
    ['ECS', `9:perf_event:/ecs/0123456789abcdef0123456789abcdef/${id}`],
    ['seen from another container', `0::/../../kubepods-pod1.slice/cri-containerd-${id}.scope`],
    ['a process whose group was removed', `0::/system.slice/docker-${id}.scope (deleted)`],
    ['systemd in a container', `0::/docker/${id}/init.scope`],
    ['one hierarchy only', `3:cpuset:/\n2:devices:/docker/${id}\n1:name=systemd:/\n0::/\n`],
  ])('finds the id that %s gives', (_, text) => {
    expect(containerIdFromCgroup(text)).toBe(id);
    expect(cgroupNamesContainer(text, id)).toBe(true);
    expect(cgroupNamesContainer(text, other)).toBe(false);
    expect(cgroupNamesContainer(text, id.slice(0, 12))).toBe(false);
  });

  it.each([
    ['the host', '0::/init.scope\n'],
    ['a service', '0::/system.slice/containerd.service\n'],
    ["Podman's monitor", `0::/machine.slice/libpod-conmon-${id}.scope`],
    ["CRI-O's monitor", `0::/${slice}/crio-conmon-${id}.scope`],
    ["Podman's health check", `0::/system.slice/${id}.service`],
    ["a pod's own group", `0::/${slice}`],
    ['too many digits', `0::/docker/${id}0`],
    ['too few digits', `0::/docker/${id.slice(1)}`],
    ['capital letters', `0::/docker/${id.toUpperCase()}`],
    ['something else', 'this is no such file'],
    ['nothing', ''],
  ])('finds none for %s', (_, text) => {
    expect(containerIdFromCgroup(text)).toBeUndefined();
    expect(cgroupNamesContainer(text, id.slice(1))).toBe(text.endsWith(`/${id.slice(1)}`));
  });

  it('gives all containers of a nested one, outermost first', () => {
    const text = `0::/system.slice/docker-${id}.scope/kubelet/${slice}/cri-containerd-${other}.scope`;
    expect(containerIdsFromCgroup(text)).toEqual([id, other]);
    expect(containerIdFromCgroup(text)).toBe(id);
  });

  it('knows ids of any form when it is told which', () => {
    expect(cgroupNamesContainer('0::/default/redis', 'redis')).toBe(true);
    expect(cgroupNamesContainer('0::/system.slice/nerdctl-redis.scope', 'redis')).toBe(true);
    expect(cgroupNamesContainer('1:name=systemd:/a.slice:cri-containerd:redis', 'redis')).toBe(true);
    expect(cgroupNamesContainer('0::/default/redis-2', 'redis')).toBe(false);
    expect(cgroupNamesContainer('0::/default/redis', 'dis')).toBe(false);
    expect(cgroupNamesContainer('0::/default/redis', '')).toBe(false);
  });

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        // As it is read from /proc.
        const text = Buffer.from(bytes).toString('latin1');
        for (const found of containerIdsFromCgroup(text)) expect(found).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });

  it('finds the id wherever it stands among groups that are none', () => {
    const part = fc.stringMatching(/^[a-z0-9_.-]{1,20}$/).filter((name) => !name.includes('conmon'));
    const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
    const prefix = fc.constantFrom('', 'docker-', 'cri-containerd-', 'crio-', 'libpod-', 'x.slice:cri-containerd:');
    fc.assert(
      fc.property(fc.array(part), hex, prefix, fc.boolean(), fc.array(part), (before, wanted, kind, scope, after) => {
        const text = `4:cpu:/${[...before, `${kind}${wanted}${scope ? '.scope' : ''}`, ...after].join('/')}\n0::/\n`;
        expect(containerIdFromCgroup(text)).toBe(wanted);
      }),
    );
  });

  it('is quick on long lines', () => {
    const text = `0::/${'a'.repeat(1_000_000)}/${`${'0'.repeat(63)}-`.repeat(10_000)}`;
    const start = performance.now();
    expect(containerIdsFromCgroup(text)).toEqual([]);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('containerIdOfPid', () => {
  it('reads it below the host root, and finds none for a process that is not there', () => {
    const hostRoot = mkdtempSync(join(tmpdir(), 'crikit-cgroup-'));
    mkdirSync(join(hostRoot, 'proc/42'), { recursive: true });
    writeFileSync(join(hostRoot, 'proc/42/cgroup'), `0::/docker/${id}/docker/${other}\n`);
    expect(containerIdOfPid(42, hostRoot)).toBe(id);
    expect(containerIdsOfPid(42, hostRoot)).toEqual([id, other]);
    expect(containerIdOfPid(43, hostRoot)).toBeUndefined();
    rmSync(hostRoot, { recursive: true });
  });
});
