import { type ContainerEngine, connectEngine } from '@crikit/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { containerd } from '../src/containerd.js';

describeWithDocker('dockerd’s containers, through its containerd', ({ socketPath, containerdSocketPath, execRoot }) => {
  let engine: ContainerEngine;
  let id: string;

  beforeAll(async () => {
    engine = await connectEngine(containerd({ address: containerdSocketPath, namespaces: ['moby'] }));
    id = (await runContainer(socketPath, { name: `moby-${process.pid}`, env: { A: 'b' }, hostname: 'whale' })).id;
  });
  afterAll(async () => {
    if (id !== undefined) await removeContainer(socketPath, id);
    await engine?.close();
  });

  test('are listed and have what their spec says', async () => {
    const listed = (await engine.listAllContainers()).find(({ reference }) => reference.id === id);
    expect(listed).toMatchObject({ reference: { scope: 'moby', id }, status: 'running' });
    expect(listed?.kubernetes).toBeUndefined();
    const detail = await engine.getContainerDetail(id);
    expect(detail).toMatchObject({ env: { A: 'b' }, hostname: 'whale', runtime: 'runc', pid: expect.any(Number) });
    expect(detail.mergedDir).toMatch(/^\/.*\/merged$/);
    expect(execRoot).not.toBe('');
  });

  test('run commands', async () => {
    const { stdout } = await engine.exec(id, { cmd: ['sh', '-c', 'hostname; id -u'], check: true });
    expect(stdout.toString()).toBe('whale\n0\n');
  });
});
