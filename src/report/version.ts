// The version that was built in (build/compile.ts); a run from the sources has none.
declare const TREEWARDEN_VERSION: string | undefined;

export const version: string = typeof TREEWARDEN_VERSION === "string" ? TREEWARDEN_VERSION : "0.0.0-source";
