/**
 * What can go wrong with a request to the API server.
 */

/** Answer of the API server to a request that failed: the fields of its `Status` object that this project reads. */
interface StatusBody {
  readonly reason?: unknown;
  readonly message?: unknown;
}

export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; undefined where no answer came: connection refused or broken, time limit. */
  readonly status: number | undefined;
  /** The API server's reason (`NotFound`, `Conflict`, `AlreadyExists`, `Invalid`, `Expired` …), or `NoAnswer`, or `TimedOut`. */
  readonly reason: string;
  /** `PATCH /api/v1/nodes/n1`. */
  readonly request: string;

  constructor(request: string, status: number | undefined, reason: string, message: string, options?: ErrorOptions) {
    super(`${request}: ${status === undefined ? '' : `${status} `}${reason}: ${message}`, options);
    this.request = request;
    this.status = status;
    this.reason = reason;
  }

  /** @param body of the answer: a `Status` in JSON, or whatever a proxy on the way has said. */
  static fromAnswer(request: string, status: number, body: string): KubeError {
    const parsed = parseStatus(body);
    const reason = typeof parsed?.reason === 'string' && parsed.reason !== '' ? parsed.reason : `Http${status}`;
    const message = typeof parsed?.message === 'string' ? parsed.message : body.slice(0, 500) || 'no message';
    return new KubeError(request, status, reason, message);
  }

  /** @param cause what the transport threw. */
  static noAnswer(request: string, cause: unknown): KubeError {
    const { name, message } = cause instanceof Error ? cause : { name: '', message: String(cause) };
    return new KubeError(request, undefined, name === 'TimeoutError' ? 'TimedOut' : 'NoAnswer', deepestMessage(cause) ?? message, {
      cause,
    });
  }
}

const hasStatus =
  (status: number, reason?: string) =>
  (error: unknown): boolean =>
    error instanceof KubeError && error.status === status && (reason === undefined || error.reason === reason);

export const isNotFound = hasStatus(404);
/** The object changed since it was read: resourceVersion or uid given as a condition no longer hold. */
export const isConflict = hasStatus(409, 'Conflict');
export const isAlreadyExists = hasStatus(409, 'AlreadyExists');
/** Also the answer to a JSON patch whose `test` did not hold. */
export const isInvalid = hasStatus(422);
/** The resourceVersion or the continue token is too old: list again. */
export const isExpired = hasStatus(410);

/** No answer at all: whether the request took effect is unknown. */
export function isNoAnswer(error: unknown): boolean {
  return error instanceof KubeError && error.status === undefined;
}

function parseStatus(body: string): StatusBody | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** The transport wraps what happened ("other side closed") in errors that only say that something did. */
function deepestMessage(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof AggregateError && error.errors.length > 0) return deepestMessage(error.errors[0]);
  return deepestMessage(error.cause) ?? error.message;
}
