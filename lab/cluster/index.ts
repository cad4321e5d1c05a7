/** The control plane and the Temporal server: of the lab, and alone on loopback for tests that need no nodes. */
export { type ControlPlane, startControlPlane } from './control-plane.ts';
