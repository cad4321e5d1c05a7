/** The control plane and the Temporal server: of the lab, and alone on loopback for tests that need no nodes. */
export { ApiClient, ApiError } from './api-client.ts';
export { COMPONENTS, type Component } from './components.ts';
export { ControlPlane, startControlPlane } from './control-plane.ts';
