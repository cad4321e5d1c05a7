/** What was said to this run. Signals say that something changed or what a person wants, never what to do next. */
import { CancellationScope, setHandler } from '@temporalio/workflow';
import { abortSignal, followSignal, lookAgainSignal, retrySignal, turnGrantedSignal } from '../messages.ts';

export interface AbortWish {
  readonly message: string;
  readonly byPerson: boolean;
}

export class Inbox {
  /** Workflow ids that want to hear of the end. */
  readonly followers = new Set<string>();
  /** Why the migration is to be taken back; the first wish stands. */
  abort: AbortWish | undefined;
  retries = 0;
  /** The node it may sync to: it is its turn. */
  turnTo: string | undefined;
  /** Rises with everything that asks for a new look at the world. */
  news = 0;

  wantAbort(wish: AbortWish): void {
    this.abort ??= wish;
  }

  /** Called in the workflow's outermost scope: there a cancellation arrives, which counts as a person's abort. */
  listen(): void {
    setHandler(followSignal, (follower) => {
      this.followers.add(follower);
      this.news += 1;
    });
    setHandler(lookAgainSignal, () => {
      this.news += 1;
    });
    setHandler(retrySignal, () => {
      this.retries += 1;
      this.news += 1;
    });
    setHandler(turnGrantedSignal, (target) => {
      this.turnTo = target;
    });
    setHandler(abortSignal, () => this.wantAbort({ message: 'a person aborted it', byPerson: true }));
    CancellationScope.current().cancelRequested.catch(() => this.wantAbort({ message: 'a person cancelled it', byPerson: true }));
  }
}
