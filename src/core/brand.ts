/** Nominal types: the compiler tells a checked string from any other string. They do not exist at run time. */

declare const brand: unique symbol;

/** A `T` that the parser for `Name` has checked. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
