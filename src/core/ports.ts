/**
 * The outside world, as interfaces for the services. `workers/`, `upstream/` and `git/` implement them, and `serve/`
 * hands them to the services. So no service knows an implementation. After `ClientOps` of golang.org/x/mod/sumdb.
 */

import type { ModulePath } from './module-path.ts';
import type { Resource } from './resource.ts';
import type { StoredVersion } from './store-port.ts';

/** The time in ms: wall time for stored times, monotonic time for waits. */
export type Clock = {
  /** Unix time. It may jump, as a Pi boots without a clock. */
  wallMs(): number;
  /** Never goes back. */
  monotonicMs(): number;
};

/** What a checked token of an issuer says, and until when: Unix time. */
export type VerifiedToken = {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly expiresMs: number;
};

/** The validators that tell two versions of one upstream file apart. */
export type Validator = { readonly etag?: string; readonly lastModified?: string };

/** The state of a download: the bytes so far, and the validator that the rest must match. */
export type Progress = {
  /** The number of bytes that are here already. */
  readonly offset: number;
  /** The last of these bytes, which are compared if there is no validator; may be empty. */
  readonly tail: Uint8Array;
  /** The whole file's size, if the upstream sent it. */
  readonly size: number | undefined;
  readonly validator: Validator;
};

/** The events of an upstream fetch, in order. */
export type FetchEvent =
  /**
   * The next bytes are those from `offset` on. This is the first event of each fetch. It comes again with offset 0 if
   * the earlier bytes are of another file and must be dropped.
   */
  | {
      readonly kind: 'start';
      readonly offset: number;
      readonly size: number | undefined;
      readonly validator: Validator;
      /** The server or repository that sends the file, for logs, without userinfo. */
      readonly upstream: string;
    }
  | {
      readonly kind: 'bytes';
      /** The bytes. The consumer owns them. If they end their buffer, it owns the whole buffer and may free it. */
      readonly bytes: Uint8Array;
      /** Only a comparison says that they continue the earlier bytes, so the content must be checked. */
      readonly isPatched?: boolean;
    };

/** One fetch from the outside. */
export type FetchRequest = {
  /** Escaped path below the proxy's root, such as `github.com/!azure/x/@v/v1.0.0.mod`. */
  readonly path: string;
  /** The fetch fails with UpstreamFailed after more bytes than this. */
  readonly bytesMax: number;
  /** The point to go on from: by Range if the upstream can do it, else from the start again. */
  readonly resume?: Progress;
  /** The upstream to ask last, by its name in the events, as it sent wrong content before. */
  readonly avoid?: string;
  /** The `Via` values of the client's own request. */
  readonly via?: string;
  /** A small file of a checksum database. Downloads wait for it, so it does not queue behind them. */
  readonly isProof?: boolean;
};

/** A whole small file, and the server or repository that sent it. */
export type Fetched = { readonly bytes: Uint8Array; readonly upstream: string };

/**
 * The outside, as one list of proxies with the `go` command's semantics.
 *
 * Every method throws NotFound or Gone if the list ends in a 404 or 410, UpstreamDown if no upstream could be reached,
 * Loop for a 508, UpstreamFailed for any other answer, and Busy if its queue is full.
 */
export type Upstream = {
  /** The bytes as they come, over as many connections as it takes. Ends cleanly only when whole. */
  stream(request: FetchRequest): AsyncIterable<FetchEvent>;
  /** A small file, whole. */
  whole(request: FetchRequest): Promise<Fetched>;
  /** Asks by HEAD. */
  head(request: FetchRequest): Promise<{ readonly size: number | undefined; readonly upstream: string }>;
  /** All members of the list count as down now, so a stored answer should go out at once. */
  readonly isDown: boolean;
};

/** An answer to one GET of a page; redirects are not followed. */
export type PageAnswer = {
  readonly status: number;
  /** The `Location` of a redirect, as it came. */
  readonly location?: string | undefined;
  readonly body: Uint8Array;
};

/** One GET of a small page. Rejects if the server can't be reached, or if the page is longer than `bytesMax`. */
export type PageGet = (request: {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytesMax: number;
}) => Promise<PageAnswer>;

/** The kinds of places that modules come from, by their names in answers, in logs and in the store. */
export type SourceName = 'upstream' | 'git' | 'bucket';

/** A request for one file of a module. `path` is the key of `resource`. */
export type ModuleRequest = Omit<FetchRequest, 'isProof'> & { readonly resource: Resource };

/**
 * A place that modules come from. Its methods fail as those of {@link Upstream} do. NotFound and Gone mean that it has
 * no such file.
 */
export type ModuleSource = {
  readonly name: SourceName;
  /** The source can't be reached now, so a stored answer should go out at once. */
  readonly isDown: boolean;
  /** Asks for the size alone. */
  head(request: ModuleRequest): Promise<{ readonly size: number | undefined; readonly upstream: string }>;
  /** A small file, whole. The bytes are the caller's own. */
  whole(request: ModuleRequest): Promise<Fetched>;
  /** A zip as it comes. Ends cleanly only when whole. The bytes of each event are the consumer's own. */
  stream(request: ModuleRequest): AsyncIterable<FetchEvent>;
  /** Told that the content of a file from here was refused. */
  refused?(path: string, why: string): void;
  /** The versions that it has, for when the sources behind it can't be reached. */
  versions?(module: ModulePath): Promise<readonly StoredVersion[]>;
};
