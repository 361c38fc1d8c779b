import type { ContainerExplanation } from '@crikit/metastore';
import { type ContainerView, viewContainer } from './view-container.js';

export interface ExplanationView extends Omit<ContainerExplanation, 'container'> {
  readonly container?: ContainerView;
}

export function viewExplanation(explanation: ContainerExplanation, nowMs: number): ExplanationView {
  const { container, ...rest } = explanation;
  return { ...rest, ...(container === undefined ? {} : { container: viewContainer(container, nowMs) }) };
}
