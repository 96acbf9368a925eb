/** Nominal types: a checked string is not any string. Erased at run time. */

declare const brand: unique symbol;

/** `T` that went through the parser named `Name`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
