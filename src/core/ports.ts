/**
 * The world as the services see it. `serve/` hands them these interfaces, which `workers/`, `upstream/` and `git/`
 * satisfy. After `ClientOps` of golang.org/x/mod/sumdb: nothing above knows what is below.
 */

import type { Resource } from './resource.ts';

/** Wall time for what is stored, monotonic time for what is waited for; both in ms. */
export type Clock = {
  /** Unix time. May jump: a Pi boots without a clock. */
  wallMs(): number;
  /** Never goes back. */
  monotonicMs(): number;
};

/** The validators that tell two versions of one upstream file apart. */
export type Validator = { readonly etag?: string; readonly lastModified?: string };

/** The state of a download: the bytes so far, and the validator that the rest must match. */
export type Progress = {
  /** Bytes already here. */
  readonly offset: number;
  /** The last bytes already here, to compare where there is no validator; may be empty. */
  readonly tail: Uint8Array;
  /** The whole file's size, if the upstream said it. */
  readonly size: number | undefined;
  readonly validator: Validator;
};

/** The events of an upstream fetch, in order. */
export type FetchEvent =
  /**
   * Bytes come from `offset` on. First event of each fetch; comes again, with offset 0, when
   * what came before was of another file and must be thrown away.
   */
  | {
      readonly kind: 'start';
      readonly offset: number;
      readonly size: number | undefined;
      readonly validator: Validator;
      /** The server or repository that gives it, for logs: no userinfo. */
      readonly upstream: string;
    }
  | {
      readonly kind: 'bytes';
      /** The consumer's own. Where they end their buffer nobody needs any of that. */
      readonly bytes: Uint8Array;
      /** A comparison alone says that they belong to what came before: their content must be checked. */
      readonly isPatched?: boolean;
    };

export type FetchRequest = {
  /** Escaped path below the proxy's root, such as `github.com/!azure/x/@v/v1.0.0.mod`. */
  readonly path: string;
  /** More bytes than this: UpstreamFailed. */
  readonly bytesMax: number;
  /** Go on from here: by Range where the upstream can, else from the start again. */
  readonly resume?: Progress;
  /** The upstream to ask last, by the name its events carry: it gave something wrong before. */
  readonly avoid?: string;
  /** The `Via` values the client's own request carried. */
  readonly via?: string;
  /** A small file that downloads wait for, of a checksum database: it does not queue behind them. */
  readonly isProof?: boolean;
};

export type Fetched = { readonly bytes: Uint8Array; readonly upstream: string };

/**
 * The outside, as one list of proxies with the `go` command's semantics.
 *
 * Every method throws NotFound or Gone where the list ends in a 404 or 410, UpstreamDown where
 * nothing could be reached, UpstreamFailed for any other answer, Loop for a 508, and Busy past its queue.
 */
export type Upstream = {
  /** The bytes as they come, over as many connections as it takes. Ends cleanly only when whole. */
  stream(request: FetchRequest): AsyncIterable<FetchEvent>;
  /** A small file, whole. */
  whole(request: FetchRequest): Promise<Fetched>;
  /** Asks by HEAD. */
  head(request: FetchRequest): Promise<{ readonly size: number | undefined; readonly upstream: string }>;
  /** Every member of the list counts as down now: what is stored should go out at once. */
  readonly isDown: boolean;
};

/** The kinds of places that modules come from. Answers, logs and the store name them so. */
export type SourceName = 'upstream' | 'git' | 'bucket';

/** A question for one file of a module; `path` is the key of `resource`. */
export type ModuleRequest = Omit<FetchRequest, 'isProof'> & { readonly resource: Resource };

/**
 * A place that modules come from. Its methods fail as those of {@link Upstream}; NotFound and Gone are its word
 * that there is no such file.
 */
export type ModuleSource = {
  readonly name: SourceName;
  /** It can't be reached now: a stored answer should go out at once. */
  readonly isDown: boolean;
  /** Asks for the size alone. */
  head(request: ModuleRequest): Promise<{ readonly size: number | undefined; readonly upstream: string }>;
  /** A small file, whole. The bytes are the caller's own. */
  whole(request: ModuleRequest): Promise<Fetched>;
  /** A zip as it comes. Ends cleanly only when whole. The bytes of each event are the consumer's own. */
  stream(request: ModuleRequest): AsyncIterable<FetchEvent>;
};
