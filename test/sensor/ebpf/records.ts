// Records of the eBPF programs, made by hand as sensor/ebpf/layout.ts has them: for tests and for `npm run bench:hot`.
import { commonLayout, execLayout, recordKinds } from "../../../src/sensor/ebpf/layout.ts";

/** Texts of an exec as a reader has them; `words` and `longs` by their offset in the record. */
export interface ExecRecord {
  readonly filename?: string;
  readonly args?: readonly string[];
  readonly tty?: string;
  readonly cgroup?: string;
  readonly executable?: string;
  readonly cwd?: string;
  /** Strings of the environment, if it was read. */
  readonly environment?: readonly string[];
  readonly flags?: number;
  readonly words?: Readonly<Record<number, number>>;
  readonly longs?: Readonly<Record<number, bigint>>;
}

const terminated = (text: string | undefined) => (text === undefined ? "" : `${text}\0`);
/** `/usr/bin/true` as the programs write it: `true\0bin\0usr\0`. */
const upwards = (path: string) =>
  path === "/" ? "" : path.slice(1).split("/").reverse().map(terminated).join("");

/** `size` bytes with these fields set, by their offset: `words` are 32 bits, `longs` 64. */
export function record(
  size: number,
  words: Readonly<Record<number, number>>,
  longs: Readonly<Record<number, bigint>> = {},
) {
  const bytes = new Uint8Array(new ArrayBuffer((size + 7) & ~7));
  const view = new DataView(bytes.buffer);
  for (const field in words) view.setUint32(Number(field), words[field] ?? 0, true);
  for (const field in longs) view.setBigUint64(Number(field), longs[field] ?? 0n, true);
  return bytes;
}

/** The record of an exec. */
export function execRecord(from: ExecRecord): Uint8Array {
  const texts = [
    terminated(from.filename),
    (from.args ?? []).map(terminated).join(""),
    terminated(from.tty),
    upwards(from.cgroup ?? "/"),
    upwards(from.executable ?? "/"),
    upwards(from.cwd ?? "/"),
  ];
  const ends: number[] = [];
  let end = execLayout.texts;
  for (const text of texts) {
    end += Buffer.byteLength(text);
    ends.push(end);
  }
  const fields = [
    execLayout.filenameEnd,
    execLayout.argsEnd,
    execLayout.ttyEnd,
    execLayout.cgroupEnd,
    execLayout.executableEnd,
    execLayout.cwdEnd,
  ];
  const words: Record<number, number> = {
    [commonLayout.kind]: recordKinds.exec,
    [execLayout.flags]: from.flags ?? 0,
    ...from.words,
  };
  for (const [i, field] of fields.entries()) words[field] = ends[i] ?? 0;
  if (from.environment !== undefined) {
    const environment = from.environment.map(terminated).join("");
    texts.push(environment);
    end += Buffer.byteLength(environment);
    words[execLayout.environmentEnd] = end;
  }
  const bytes = record(end, words, from.longs);
  bytes.set(Buffer.from(texts.join("")), execLayout.texts);
  return bytes;
}
