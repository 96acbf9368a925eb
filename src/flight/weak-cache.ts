/**
 * A cache that holds the results of flights strongly for a while, and weakly after that.
 *
 *     strong ──time or bytes are over──▶ weak ──collected, or bytes are over──▶ gone
 *        ▲                                │
 *        └──────── asked for again ───────┘
 *
 * A weak entry is a WeakRef to the object that owns the bytes. Another client can use it again while a slow client
 * holds it, or until V8 collects it. Both parts are bounded in bytes. The cache counts these itself, as buffers that
 * were moved between threads are missing from `process.memoryUsage().arrayBuffers`.
 *
 * An entry that was used since the last sweep stays for another round. This is a clock and not an LRU list: a hit
 * only sets a flag.
 */

export type WeakCacheOptions = {
  /** Bytes held strongly. */
  readonly strongBytesMax: number;
  /** Bytes held weakly, beside the strong ones. */
  readonly weakBytesMax: number;
  /** How long an unused entry is held strongly. */
  readonly strongMs: number;
  /** Monotonic time in ms. */
  readonly now: () => number;
  /** Whether a value is never held weakly: it is dropped when its strong time is over. */
  readonly isStrongOnly?: (value: object) => boolean;
  /** Called with each value that leaves the cache, unless V8 collected it. */
  readonly onDrop?: (value: object) => void;
  /** Called with each entry that was in use, so that its strong time was prolonged. */
  readonly onProlong?: (key: string | number, value: object) => void;
};

type Slot<V extends object> = {
  readonly key: string | number;
  readonly bytes: number;
  value: V | undefined;
  ref: WeakRef<V> | undefined;
  isUsed: boolean;
  /** The end of its strong time, by `now`. */
  untilMs: number;
};

export class WeakCache<V extends object> {
  readonly #slots = new Map<string | number, Slot<V>>();
  // In the order of `untilMs`, oldest first: a Set keeps the order of insertion.
  readonly #strong = new Set<Slot<V>>();
  readonly #weak = new Set<Slot<V>>();
  readonly #options: WeakCacheOptions;
  readonly #finalized: FinalizationRegistry<Slot<V>>;
  #strongBytes = 0;
  #weakBytes = 0;

  constructor(options: WeakCacheOptions) {
    this.#options = options;
    this.#finalized = new FinalizationRegistry((slot) => {
      if (slot.value === undefined && slot.ref?.deref() === undefined) this.#drop(slot);
    });
  }

  /** Bytes held, strongly and weakly. */
  get bytes(): { readonly strong: number; readonly weak: number } {
    return { strong: this.#strongBytes, weak: this.#weakBytes };
  }

  /** Entries, strong and weak. */
  get size(): number {
    return this.#slots.size;
  }

  get(key: string | number): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    if (slot.value !== undefined) {
      slot.isUsed = true;
      return slot.value;
    }
    return this.#revive(slot);
  }

  /** Whether the entry was asked for since it came, was prolonged, or since the last call. */
  takeUse(key: string | number): boolean {
    const slot = this.#slots.get(key);
    if (slot?.isUsed !== true) return false;
    slot.isUsed = false;
    return true;
  }

  /** Tells `onProlong` of all entries that were asked for since they came or were prolonged: the cache ends. */
  tellUses(): void {
    for (const { key, value, isUsed } of this.#strong) {
      if (isUsed && value !== undefined) this.#options.onProlong?.(key, value);
    }
  }

  /** Holds `value` under `key`, in place of an older value. `bytes` counts all memory that the value keeps alive. */
  set(key: string | number, value: V, bytes: number): void {
    this.delete(key);
    const slot: Slot<V> = {
      key,
      bytes,
      value,
      ref: undefined,
      isUsed: false,
      untilMs: 0,
    };
    this.#slots.set(key, slot);
    this.#hold(slot, value);
  }

  delete(key: string | number): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined) this.#drop(slot);
  }

  /** Deletes all whose keys are so. */
  deleteAll(isGone: (key: string | number) => boolean): void {
    for (const [key, slot] of this.#slots) if (isGone(key)) this.#drop(slot);
  }

  /** Weakens or prolongs the entries whose strong time is over. The cache has no timer: call this now and then. */
  sweep(): void {
    const now = this.#options.now();
    for (const slot of this.#strong) {
      if (slot.untilMs > now) break;
      if (slot.isUsed) this.#prolong(slot);
      else this.#weaken(slot);
    }
  }

  #hold(slot: Slot<V>, value: V): void {
    slot.value = value;
    slot.ref = undefined;
    slot.isUsed = false;
    slot.untilMs = this.#options.now() + this.#options.strongMs;
    this.#strong.add(slot);
    this.#strongBytes += slot.bytes;
    this.#makeRoom();
  }

  #makeRoom(): void {
    // Each round weakens a slot or clears its flag, so the loop ends.
    while (this.#strongBytes > this.#options.strongBytesMax) {
      const oldest = this.#strong.values().next().value;
      if (oldest === undefined) return;
      if (oldest.isUsed) this.#prolong(oldest);
      else this.#weaken(oldest);
    }
  }

  #prolong(slot: Slot<V>): void {
    slot.isUsed = false;
    slot.untilMs = this.#options.now() + this.#options.strongMs;
    this.#strong.delete(slot);
    this.#strong.add(slot);
    if (slot.value !== undefined) this.#options.onProlong?.(slot.key, slot.value);
  }

  #weaken(slot: Slot<V>): void {
    const { value } = slot;
    if (value === undefined) return;
    if (slot.bytes > this.#options.weakBytesMax || this.#options.isStrongOnly?.(value) === true) {
      this.#drop(slot);
      return;
    }
    this.#strong.delete(slot);
    this.#strongBytes -= slot.bytes;
    slot.ref = new WeakRef(value);
    slot.value = undefined;
    this.#finalized.register(value, slot, slot);
    this.#weak.add(slot);
    this.#weakBytes += slot.bytes;
    for (const oldest of this.#weak) {
      if (this.#weakBytes <= this.#options.weakBytesMax) break;
      this.#drop(oldest);
    }
  }

  #revive(slot: Slot<V>): V | undefined {
    const value = slot.ref?.deref();
    this.#leaveWeak(slot);
    if (value === undefined) {
      this.#slots.delete(slot.key);
      return undefined;
    }
    this.#hold(slot, value);
    return value;
  }

  #leaveWeak(slot: Slot<V>): void {
    if (!this.#weak.delete(slot)) return;
    this.#weakBytes -= slot.bytes;
    this.#finalized.unregister(slot);
  }

  #drop(slot: Slot<V>): void {
    const value = slot.value ?? slot.ref?.deref();
    this.#leaveWeak(slot);
    if (this.#strong.delete(slot)) this.#strongBytes -= slot.bytes;
    slot.value = undefined;
    if (this.#slots.get(slot.key) === slot) this.#slots.delete(slot.key);
    if (value !== undefined) this.#options.onDrop?.(value);
  }
}
