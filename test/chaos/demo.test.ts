import { beforeEach, describe, expect, test } from 'vitest';
import { runDrain } from '../../lab/demo/drain.ts';
import { parseDemoOptions } from '../../lab/demo/options.ts';
import { Steps } from '../../lab/index.ts';
import { Cluster } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

describe('every acknowledged write is on the new nodes, and nothing is left over', () => {
  test.each<[string, string[]]>([
    ['when controller and target are killed in the middle of the first sync', ['--chaos', '--volumes', '2']],
    ['when they are killed while the volumes are copied beneath their pods', ['--online', '--chaos']],
  ])('%s', async (_, args) => {
    const { checks } = await runDrain(lab, new Steps(), parseDemoOptions(args));
    expect(checks.filter(({ holds }) => !holds)).toEqual([]);
    await lab.start('n1');
  });
});
