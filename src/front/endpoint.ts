/**
 * The table of endpoints: each takes some paths and answers their requests.
 *
 * A new kind of path needs a file with an endpoint, and a line in `serve/run.ts`. Each endpoint gets only the services that
 * it asks.
 */

import type { StoredFile } from '../core/answer.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { Client } from './client.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

/** One request's way to its answer, known before anything is looked up. */
export type Route = {
  /** Its name in metrics. */
  readonly name: string;
  /** In capitals. */
  readonly methods: readonly string[];
  /** The module that the answer tells of: the client needs the right to read it. Undefined: everybody may have it. */
  readonly module: ModulePath | undefined;
  /**
   * Checks a right that no module gives, such as to change something, before the body is read. If a password must be
   * checked, the promise resolves when it is right.
   *
   * @param header one of the request's headers by its lower-case name; empty if it has none
   * @throws {Unauthorized} it needs a login, or a better one. @throws {Forbidden} the login lacks the right
   */
  admit?(client: Client, header: (name: string) => string): Promise<void> | undefined;
  /** A look at the server, which is no work: figures of a page come again and again. */
  readonly isLook?: boolean;
  /** The longest body of a PUT or POST that it takes; undefined: it takes none. Other methods have no body. */
  readonly bodyBytesMax?: number;
  /** Answers by `responder`. An error that it throws, or rejects with, goes out as one line. */
  answer(client: Client, responder: Responder): Promise<void> | undefined;
};

/** Files in memory. They go out without a route where the client's right is known at once. */
export type HotFiles = {
  /** The beginning of these files' paths. */
  readonly prefix: string;
  /** The fresh file under a path below our prefixes, escaped by "!". */
  peek(path: string): StoredFile | undefined;
  /** The module that the file under a path tells of. */
  moduleOf(path: string): ModulePath | undefined;
};

export type Endpoint = {
  readonly hot?: HotFiles;
  /**
   * @returns undefined: the path is not for this endpoint
   * @throws {BadRequest} it is, but a part of it is malformed
   */
  route(target: Target): Route | undefined;
};

/** The methods of a file that can only be read. */
export const READ_ONLY: readonly string[] = ['GET', 'HEAD'];

/** The route of the first endpoint that takes the path. */
export function routeOf(endpoints: readonly Endpoint[], target: Target): Route | undefined {
  for (const endpoint of endpoints) {
    const route = endpoint.route(target);
    if (route !== undefined) return route;
  }
  return undefined;
}
