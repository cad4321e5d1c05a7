/** The agent's entry point. */
import { parseAgentConfiguration } from '../../core/contracts/configuration.ts';
import { runProgram } from '../process.ts';
import { runAgent } from './agent.ts';

runProgram({
  name: 'rehome-agent',
  parse: parseAgentConfiguration,
  logFields: ({ nodeName }) => ({ node: nodeName }),
  run: (configuration, logger, signal) => runAgent({ configuration, logger, signal }),
});
