import type { CandidateNode } from '../../../core/domain/placement.ts';

/** A node that refuses nobody, with these pools. */
export function candidateNode(name: string, pools: CandidateNode['pools'], change: Partial<CandidateNode> = {}): CandidateNode {
  return {
    name,
    labels: {},
    taints: [],
    ready: true,
    schedulable: true,
    underPressure: false,
    pods: undefined,
    attachments: undefined,
    agentReady: true,
    zone: 'default',
    region: 'default',
    pools,
    reservations: [],
    following: [],
    ...change,
  };
}
