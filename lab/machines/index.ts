/** The virtual nodes of the lab: everything that other parts of the lab, the demo and the tests need of them. */
export { type ExecOptions, type ExecResult, Machine, type MachineSettings, machineNumber, openMachines } from './machine.ts';
export { createNetworks, HOST_MANAGEMENT_ADDRESS, type Network, namespaceStands, removeNetworks } from './networks.ts';
