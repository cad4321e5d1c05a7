import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createMigrationWorkflows,
  findEndedMigrations,
  type MigrationWorkflows,
  startMigration,
} from '../../activities/cluster/migration-workflows.ts';
import { type ControlPlane, startControlPlane } from '../../lab/cluster/index.ts';

const QUEUE = 'rehome-test';

let directory: string;
let controlPlane: ControlPlane;
let connection: Connection;
let native: NativeConnection;
let client: Client;
let workflows: MigrationWorkflows;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rehome-cluster-test-'));
  controlPlane = await startControlPlane({ directory });
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  connection = await Connection.connect({ address: controlPlane.temporalAddress });
  native = await NativeConnection.connect({ address: controlPlane.temporalAddress });
  client = new Client({ connection });
  workflows = createMigrationWorkflows(client, QUEUE);
});
afterAll(async () => {
  await connection?.close();
  await native?.close();
  await controlPlane?.stop();
  await rm(directory, { recursive: true, force: true });
});

const start = (volume: string, follower: string) =>
  startMigration({ workflows })({ volume, sourceNode: 'n1', trigger: 'node-drain', follower });
const ends = (...volumes: string[]) => findEndedMigrations({ workflows })({ volumes });

async function whileAWorkerRuns(work: () => Promise<void>): Promise<void> {
  const worker = await Worker.create({
    connection: native,
    taskQueue: QUEUE,
    workflowsPath: join(import.meta.dirname, 'stub-workflows.ts'),
  });
  await worker.runUntil(work);
}

describe('the workflow of a migration', () => {
  test('says in the UI what it is before a worker has seen it', async () => {
    await start('new', 'evict-node-n1');
    const { staticSummary, typedSearchAttributes, taskQueue } = await client.workflow.getHandle('migrate-new').describe();
    expect(await staticSummary()).toBe('new leaves n1');
    expect(taskQueue).toBe(QUEUE);
    expect(Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]))).toEqual({
      Volume: 'new',
      SourceNode: 'n1',
      Trigger: 'node-drain',
      MigrationPhase: 'Pending',
    });
  });

  test('is joined by who comes second, and both hear of its end', async () => {
    await Promise.all([start('joined', 'evict-node-n1'), start('joined', 'evict-pod-1')]);
    expect(await ends('joined')).toEqual([]);
    await whileAWorkerRuns(async () => {
      await client.workflow.getHandle('migrate-joined').signal('end');
      await client.workflow.getHandle('migrate-joined').result();
    });
    expect(await ends('joined')).toEqual([{ volume: 'joined', sourceNode: 'n1', outcome: 'Completed', abortedByPerson: false }]);
  });

  test('that was terminated, or never was, counts as aborted by nobody; one that runs has not ended', async () => {
    await Promise.all(['killed', 'running'].map((volume) => start(volume, 'evict-node-n1')));
    await client.workflow.getHandle('migrate-killed').terminate('test');
    const many = Array.from({ length: 25 }, (_, index) => `never-${index}`);
    const ended = await ends('killed', 'running', ...many);
    expect(ended.map(({ volume }) => volume)).toEqual(['killed', ...many]);
    expect(ended.slice(0, 2)).toEqual([
      { volume: 'killed', sourceNode: 'n1', outcome: 'Aborted', abortedByPerson: false },
      { volume: 'never-0', sourceNode: '', outcome: 'Aborted', abortedByPerson: false },
    ]);
    await start('killed', 'evict-node-n1');
    expect(await ends('killed')).toEqual([]);
  });
});
