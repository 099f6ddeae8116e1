// The processors that a release is made for, and what each tool calls them.

export interface ReleaseTarget {
  /** In the names of files. */
  readonly name: "x86-64" | "arm64";
  /** process.arch */
  readonly node: string;
  /** `--target` of `bun build`. */
  readonly bunTarget: string;
  /** The npm package with the runtime, pinned in package-lock.json. */
  readonly runtimePackage: string;
  /** GOARCH, by which nfpm and OCI images (image-spec, image index) name processors; Debian's names are the same. */
  readonly go: "amd64" | "arm64";
  /** As GNU names folders of libraries. */
  readonly triplet: string;
  /** The file name of glibc's dynamic loader. */
  readonly loader: string;
}

export const releaseTargets: readonly ReleaseTarget[] = [
  {
    name: "x86-64",
    node: "x64",
    bunTarget: "bun-linux-x64",
    runtimePackage: "@oven/bun-linux-x64",
    go: "amd64",
    triplet: "x86_64-linux-gnu",
    loader: "ld-linux-x86-64.so.2",
  },
  {
    name: "arm64",
    node: "arm64",
    bunTarget: "bun-linux-arm64",
    runtimePackage: "@oven/bun-linux-aarch64",
    go: "arm64",
    triplet: "aarch64-linux-gnu",
    loader: "ld-linux-aarch64.so.1",
  },
];
