export {
  createInMemoryEngine,
  type InMemoryCall,
  type InMemoryEngine,
  type InMemoryEngineControl,
  type InMemoryEngineOptions,
  type InMemoryPod,
  type InMemoryPodContainer,
  type InMemoryPodOptions,
} from './in-memory-engine.js';
export type { InMemoryContainer } from './in-memory-engine-container.js';
export type { InMemoryCommand, InMemoryProcess } from './in-memory-engine-exec.js';
