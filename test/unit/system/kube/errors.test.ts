import { describe, expect, test } from 'vitest';
import { isAlreadyExists, isConflict, isNoAnswer, isNotFound, KubeError } from '../../../../system/kube/errors.ts';

describe('a request that failed', () => {
  const status = (code: number, reason: string) =>
    KubeError.fromAnswer('GET /x', code, JSON.stringify({ kind: 'Status', reason, message: 'why' }));

  test('is told apart by status and reason', () => {
    expect(isNotFound(status(404, 'NotFound'))).toBe(true);
    expect([isConflict, isAlreadyExists].map((is) => is(status(409, 'Conflict')))).toEqual([true, false]);
    expect([isConflict, isAlreadyExists].map((is) => is(status(409, 'AlreadyExists')))).toEqual([false, true]);
    expect(isNotFound(new Error('NotFound'))).toBe(false);
  });

  test('says what was asked and what the API server answered', () => {
    expect(status(404, 'NotFound').message).toBe('GET /x: 404 NotFound: why');
  });

  test('shows an answer that is not of the API server', () => {
    expect(KubeError.fromAnswer('GET /x', 502, '<html>bad gateway</html>')).toMatchObject({ reason: 'Http502', status: 502 });
    expect(KubeError.fromAnswer('GET /x', 502, '<html>bad gateway</html>').message).toContain('bad gateway');
  });

  test('names the innermost cause where no answer came', () => {
    const cause = new TypeError('fetch failed', { cause: new AggregateError([new Error('connect ECONNREFUSED 127.0.0.1:1')]) });
    const error = KubeError.noAnswer('GET /x', cause);
    expect(isNoAnswer(error)).toBe(true);
    expect(error.message).toBe('GET /x: NoAnswer: connect ECONNREFUSED 127.0.0.1:1');
  });
});
