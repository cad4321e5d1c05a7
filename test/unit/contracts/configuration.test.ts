import { describe, expect, test } from 'vitest';
import { ConfigurationError, parseAgentConfiguration, parseControllerConfiguration } from '../../../core/contracts/configuration.ts';
import { DEFAULT_SYNC_SETTINGS } from '../../../core/contracts/sync-settings.ts';

const controller = { TEMPORAL_ADDRESS: 'temporal:7233' };
const agent = { ...controller, NODE_NAME: 'n1', STORAGE_ADDRESS: '10.0.0.11' };

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('a variable that cannot be right is named, with its value and what to set it to', () => {
  test.each([
    ['a controller without Temporal', 'TEMPORAL_ADDRESS is not set', 'host:port', () => parseControllerConfiguration({})],
    [
      'an address without a port',
      'TEMPORAL_ADDRESS is "temporal"',
      'host:port',
      () => parseControllerConfiguration({ TEMPORAL_ADDRESS: 'temporal' }),
    ],
    [
      'agents of another kind',
      'REHOME_AGENTS is "topolvm"',
      'own',
      () => parseControllerConfiguration({ ...controller, REHOME_AGENTS: 'topolvm' }),
    ],
    [
      'a switch that is no switch',
      'REHOME_HASH_CHECK is "yes"',
      'true',
      () => parseControllerConfiguration({ ...controller, REHOME_HASH_CHECK: 'yes' }),
    ],
    [
      'a limit that lets nothing through',
      'REHOME_SYNCS_PER_NODE is "0"',
      'number of syncs',
      () => parseControllerConfiguration({ ...controller, REHOME_SYNCS_PER_NODE: '0' }),
    ],
    [
      'a delay that is a word',
      'REHOME_EVICTION_DELAY is "short"',
      '5m',
      () => parseControllerConfiguration({ ...controller, REHOME_EVICTION_DELAY: 'short' }),
    ],
    [
      'a port that there is not',
      'REHOME_WEBHOOK_LISTEN is "127.0.0.1:65536"',
      'as port or address:port',
      () => parseControllerConfiguration({ ...controller, REHOME_WEBHOOK_LISTEN: '127.0.0.1:65536' }),
    ],
    [
      'a retention without a unit',
      'REHOME_RETENTION is "60"',
      '1h',
      () => parseControllerConfiguration({ ...controller, REHOME_RETENTION: '60' }),
    ],
    [
      'a retention that is shorter than a step may take',
      'REHOME_RETENTION is "59s"',
      '1h',
      () => parseControllerConfiguration({ ...controller, REHOME_RETENTION: '59s' }),
    ],
    [
      'a log level that pino has not',
      'LOG_LEVEL is "loud"',
      'debug',
      () => parseControllerConfiguration({ ...controller, LOG_LEVEL: 'loud' }),
    ],
    [
      'an agent that knows no node',
      'NODE_NAME is not set',
      'spec.nodeName',
      () => parseAgentConfiguration({ ...agent, NODE_NAME: undefined }),
    ],
    [
      'an agent with an empty node name',
      'NODE_NAME is not set',
      'spec.nodeName',
      () => parseAgentConfiguration({ ...agent, NODE_NAME: '' }),
    ],
    [
      'a host name for a storage address',
      'STORAGE_ADDRESS is "n1"',
      'IPv4',
      () => parseAgentConfiguration({ ...agent, STORAGE_ADDRESS: 'n1' }),
    ],
    [
      'a range that runs backwards',
      'DRBD_PORT_RANGE is "9-8" (it ends before it begins)',
      '<first>-<last>',
      () => parseAgentConfiguration({ ...agent, DRBD_PORT_RANGE: '9-8' }),
    ],
    [
      'ports that TCP has not',
      'DRBD_PORT_RANGE is "1-70000" (it goes beyond 65535)',
      'TCP',
      () => parseAgentConfiguration({ ...agent, DRBD_PORT_RANGE: '1-70000' }),
    ],
    [
      'minors that DRBD has not',
      'DRBD_MINOR_RANGE is "1-1048576"',
      'minors',
      () => parseAgentConfiguration({ ...agent, DRBD_MINOR_RANGE: '1-1048576' }),
    ],
    [
      'a rate in bits',
      'REHOME_SYNC_MAX_RATE is "1Gbit" (not a number of bytes)',
      '100Mi',
      () => parseAgentConfiguration({ ...agent, REHOME_SYNC_MAX_RATE: '1Gbit' }),
    ],
    [
      'a buffer that DRBD does not take',
      'REHOME_SYNC_SOCKET_BUFFER is "11Mi" (not within 0 to 10485760)',
      '4Mi',
      () => parseAgentConfiguration({ ...agent, REHOME_SYNC_SOCKET_BUFFER: '11Mi' }),
    ],
    ['a list of pools with a gap', 'POOLS is "hdd,,ssd"', 'commas', () => parseAgentConfiguration({ ...agent, POOLS: 'hdd,,ssd' })],
    ['a relative path', 'STATE_DIR is "rehome"', 'absolute path', () => parseAgentConfiguration({ ...agent, STATE_DIR: 'rehome' })],
    [
      'a fault that is no crash',
      'REHOME_FAULTS is "oops"',
      'crash-after:',
      () => parseAgentConfiguration({ ...agent, REHOME_FAULTS: 'oops' }),
    ],
  ])('%s', (_, problem, remedy, parse) => {
    const message = refusal(parse);
    expect(message).toContain(problem);
    expect(message).toContain(`Set it to`);
    expect(message).toContain(remedy);
  });

  test('every one of several, a line each', () => {
    const message = refusal(() => parseAgentConfiguration({ ...agent, NODE_NAME: '-', STORAGE_ADDRESS: undefined }));
    expect(message.split('\n').map((line) => line.split(' ')[0])).toEqual(['NODE_NAME', 'STORAGE_ADDRESS']);
  });
});

describe('what is not set has its default', () => {
  test('of a controller', () => {
    expect(parseControllerConfiguration({ ...controller, REHOME_HASH_CHECK: '' })).toEqual({
      namespace: 'rehome-system',
      temporalAddress: 'temporal:7233',
      temporalNamespace: 'default',
      logLevel: 'info',
      kubeconfig: undefined,
      faults: [],
      taskQueue: 'rehome-controller',
      agents: 'own',
      syncLimits: { perNode: 2, perCluster: 10 },
      evictionDelaySeconds: 0,
      retentionSeconds: 3600,
      webhookListen: { host: undefined, port: 9443 },
      hashCheck: false,
    });
  });

  test('of an agent', () => {
    const ranges = { minorRange: { first: 20_000, last: 20_999 }, portRange: { first: 20_000, last: 20_999 } };
    expect(parseAgentConfiguration(agent)).toMatchObject({
      nodeName: 'n1',
      pools: undefined,
      stateDirectory: '/var/lib/rehome',
      syncSettings: DEFAULT_SYNC_SETTINGS,
      ...ranges,
    });
  });
});

test('what is set is taken, numbers as numbers and lists as lists', () => {
  const set = parseAgentConfiguration({ ...agent, POOLS: 'LocalStorage_PoolHDD, LocalStorage_PoolSSD', DRBD_MINOR_RANGE: '7-7' });
  expect(set.pools).toEqual(['LocalStorage_PoolHDD', 'LocalStorage_PoolSSD']);
  expect(set.minorRange).toEqual({ first: 7, last: 7 });
  const { syncSettings } = parseAgentConfiguration({ ...agent, REHOME_SYNC_MAX_RATE: '100Mi', REHOME_SYNC_MIN_RATE: '0' });
  expect(syncSettings).toEqual({ ...DEFAULT_SYNC_SETTINGS, maxRateBytesPerSecond: 100 * 2 ** 20, minRateBytesPerSecond: 0 });
  const { faults } = parseControllerConfiguration({
    ...controller,
    REHOME_FAULTS: 'crash-before:removeSource,crash-after:switchObjects.delete',
  });
  expect(faults).toEqual([
    { moment: 'before', step: 'removeSource' },
    { moment: 'after', step: 'switchObjects.delete' },
  ]);
  expect(parseControllerConfiguration({ ...controller, REHOME_HASH_CHECK: 'true' }).hashCheck).toBe(true);
  const delayOf = (text: string) => parseControllerConfiguration({ ...controller, REHOME_EVICTION_DELAY: text }).evictionDelaySeconds;
  expect(['0s', '5m'].map(delayOf)).toEqual([0, 300]);
  const retentionOf = (text: string) => parseControllerConfiguration({ ...controller, REHOME_RETENTION: text }).retentionSeconds;
  expect(['90s', '30m', '2h', '7d'].map(retentionOf)).toEqual([90, 1800, 7200, 604_800]);
});
