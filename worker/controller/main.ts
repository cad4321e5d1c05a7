/** The controller's entry point. */
import { join } from 'node:path';
import { parseControllerConfiguration } from '../../core/contracts/configuration.ts';
import { runProgram } from '../process.ts';
import { runController } from './controller.ts';

runProgram({
  name: 'rehome-controller',
  parse: parseControllerConfiguration,
  run: (configuration, logger, signal) =>
    runController({ configuration, logger, signal, workflowBundle: join(import.meta.dirname, 'workflow-bundle.js') }),
});
