// The libraries that Bun's executable contains, with their licences, from the list in its own repository (LICENSE.md).
// Packages that Bun inserts only into code that imports them are not here: treewarden imports none.

export interface RuntimePart {
  readonly name: string;
  /** SPDX expression. */
  readonly licence: string;
  readonly source: string;
}

export const runtimeParts: readonly RuntimePart[] = [
  {
    name: "JavaScriptCore and WebKit's WTF",
    licence: "LGPL-2.0-or-later AND BSD-2-Clause",
    source: "https://github.com/oven-sh/WebKit",
  },
  {
    name: "BoringSSL",
    licence: "Apache-2.0 AND OpenSSL AND ISC AND BSD-3-Clause",
    source: "https://boringssl.googlesource.com/boringssl/",
  },
  { name: "Brotli", licence: "MIT", source: "https://github.com/google/brotli" },
  { name: "c-ares", licence: "MIT", source: "https://github.com/c-ares/c-ares" },
  { name: "esbuild (ported parts)", licence: "MIT", source: "https://github.com/evanw/esbuild" },
  { name: "Highway", licence: "Apache-2.0", source: "https://github.com/google/highway" },
  { name: "ICU", licence: "Unicode-3.0", source: "https://github.com/unicode-org/icu" },
  { name: "libarchive", licence: "BSD-2-Clause", source: "https://github.com/libarchive/libarchive" },
  { name: "libbase64", licence: "BSD-2-Clause", source: "https://github.com/aklomp/base64" },
  {
    name: "libc++abi (__cxa_thread_atexit)",
    licence: "Apache-2.0 WITH LLVM-exception",
    source: "https://github.com/llvm/llvm-project",
  },
  { name: "libdeflate", licence: "MIT", source: "https://github.com/ebiggers/libdeflate" },
  {
    name: "libjpeg-turbo",
    licence: "BSD-3-Clause AND IJG AND Zlib",
    source: "https://github.com/libjpeg-turbo/libjpeg-turbo",
  },
  { name: "libspng", licence: "BSD-2-Clause", source: "https://github.com/randy408/libspng" },
  { name: "libuv (parts)", licence: "MIT", source: "https://github.com/libuv/libuv" },
  { name: "libwebp", licence: "BSD-3-Clause", source: "https://github.com/webmproject/libwebp" },
  { name: "llhttp", licence: "MIT", source: "https://github.com/nodejs/llhttp" },
  { name: "lol-html", licence: "BSD-3-Clause", source: "https://github.com/cloudflare/lol-html" },
  {
    name: "ls-hpack, ls-qpack, lsquic",
    licence: "MIT AND BSD-3-Clause",
    source: "https://github.com/litespeedtech",
  },
  { name: "mimalloc", licence: "MIT", source: "https://github.com/microsoft/mimalloc" },
  { name: "picohttpparser", licence: "MIT", source: "https://github.com/h2o/picohttpparser" },
  { name: "simdutf", licence: "Apache-2.0", source: "https://github.com/simdutf/simdutf" },
  { name: "SQLite", licence: "blessing", source: "https://www.sqlite.org/" },
  {
    name: "TigerBeetle (parts)",
    licence: "Apache-2.0",
    source: "https://github.com/tigerbeetle/tigerbeetle",
  },
  { name: "TinyCC", licence: "LGPL-2.1-or-later", source: "https://github.com/TinyCC/tinycc" },
  {
    name: "uSockets and uWebSockets",
    licence: "Apache-2.0",
    source: "https://github.com/uNetworking/uSockets",
  },
  { name: "uucode", licence: "MIT", source: "https://github.com/jacobsandlund/uucode" },
  { name: "zlib-ng", licence: "Zlib", source: "https://github.com/zlib-ng/zlib-ng" },
  { name: "Zstandard", licence: "BSD-3-Clause", source: "https://github.com/facebook/zstd" },
];
