// Writes docs/kernels.md and the README's list of kernels from the results of test/boot/run: page.ts FOLDER.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const repository = join(import.meta.dir, "../..");

interface Step {
  readonly title: string;
  readonly passed: boolean;
  readonly detail: string;
}

/** `quick`: without what takes a reboot. `minimal`: without Debian. `alpine`: Alpine in its place. */
const kindsOfTest = ["whole", "quick", "minimal", "alpine"] as const;

interface Boot {
  /** The distribution's name of the kernel, such as 6.12.107+deb13-cloud-amd64 or 6.18.56-0-virt. */
  readonly kernel: string;
  readonly test: (typeof kindsOfTest)[number];
  /** All parts of the test were run. */
  readonly ended: boolean;
  readonly steps: readonly Step[];
}

/** Lines of columns separated by tabs; see guest and run. */
export function parseBoot(text: string): Boot {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const steps = lines
    .filter(([word]) => word === "ok" || word === "failed")
    .map(([word, title = "", detail = ""]) => ({ title, passed: word === "ok", detail: detail.trim() }));
  const [, kernel = "", test] = lines.find(([word]) => word === "kernel") ?? [];
  return {
    kernel,
    test: kindsOfTest.find((kind) => kind === test) ?? "whole",
    ended: lines.some(([word]) => word === "ended"),
    steps,
  };
}

/** The version's first two numbers, and the processor: what the README lists. */
function shortName(kernel: string): string {
  const version = /^\d+\.\d+/.exec(kernel)?.[0] ?? kernel;
  return `${version} on ${kernel.endsWith("arm64") ? "arm64" : "x86-64"}`;
}

function hasPassed({ ended, steps }: Boot): boolean {
  return ended && steps.every(({ passed }) => passed);
}

function order(a: Boot, b: Boot): number {
  const processor = (boot: Boot): number => (boot.kernel.endsWith("arm64") ? 1 : 0);
  return processor(a) - processor(b) || a.kernel.localeCompare(b.kernel, "en", { numeric: true });
}

const escaped = (text: string): string => text.replaceAll("|", "\\|");

/** docs/kernels.md. */
export function kernelsPage(boots: readonly Boot[]): string {
  const sorted = [...boots].sort(order);
  const overview = sorted.map((boot) => {
    const failed = boot.steps.filter(({ passed }) => !passed);
    const seen = `${boot.steps.length - failed.length} of ${boot.steps.length}`;
    const problems = [...failed.map(({ title }) => title), ...(boot.ended ? [] : ["it did not end"])];
    return `| ${boot.kernel} | ${boot.test} | ${seen} | ${hasPassed(boot) ? "none" : problems.join("; ")} |`;
  });
  const details = sorted.map(({ kernel, test, steps }) =>
    [
      `## ${kernel}, ${test}`,
      "",
      "| step | | seen |",
      "|---|---|---|",
      ...steps.map(
        ({ title, passed, detail }) => `| ${title} | ${passed ? "ok" : "**failed**"} | ${escaped(detail)} |`,
      ),
      "",
    ].join("\n"),
  );
  return [
    `# Kernels on which treewarden was booted

Written by \`test/boot/run\`; do not edit. It boots Debian 12 with its own systemd under qemu, without hardware
virtualization, with one processor, 1 GiB of memory and Debian's own kernels for virtual machines, and uses the package of
\`npm run release\` there as an administrator would: install, reload, upgrade, reboot, remove. Times are those of the
emulated machine, whose processor executes 500 million instructions a second, and whose clock jumps to its next timer
whenever it waits. [support.md](support.md) says what is supported.

A whole test boots four times, a quick one once. A minimal test has no Debian: only busybox and the portable archive. An
alpine test boots an image of Alpine twice, with its own kernel, musl and OpenRC, and uses the \`.apk\` and rc-service.
"It did not end": the host's time limit ended the guest after the steps that are listed.

| kernel | test | steps passed | what failed |
|---|---|---|---|`,
    ...overview,
    "",
    ...details,
  ].join("\n");
}

const BEGIN = "<!-- kernels: written by test/boot/run -->";
const END = "<!-- end of kernels -->";

/** The README with its list of the kernels on which every step passed. */
export function withKernels(readme: string, boots: readonly Boot[]): string {
  const passed = [...boots].filter(hasPassed).sort(order);
  const list = [...new Set(passed.map(({ kernel }) => shortName(kernel)))].join(", ");
  const [start, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (start < 0 || end < start) throw new Error("the README must have the marks of the list of kernels");
  return `${readme.slice(0, start + BEGIN.length)}\n${list === "" ? "none yet" : list}.\n${readme.slice(end)}`;
}

if (import.meta.main) {
  const folder = process.argv[2] ?? "";
  const boots = readdirSync(folder)
    .filter((name) => name.endsWith(".tsv"))
    .map((name) => parseBoot(readFileSync(join(folder, name), "utf8")));
  writeFileSync(join(repository, "docs/kernels.md"), kernelsPage(boots));
  const readme = join(repository, "README.md");
  writeFileSync(readme, withKernels(readFileSync(readme, "utf8"), boots));
}
