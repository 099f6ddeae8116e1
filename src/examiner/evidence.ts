// What a process that is about to be killed has, read from descriptors that the warden has opened while it stands still.
// All of it was chosen by the process, so each list and each text is bounded.
import { readSync } from "node:fs";
import { parseSocketLine } from "../linux/proc/socket-table.ts";
import { decodeText, unambiguous } from "../linux/text.ts";
import { formatAddress } from "../vocabulary/ip-address.ts";
import { copyContent, examineContent } from "./examine.ts";
import type { MemoryReads } from "./memory-reads.ts";
import { type EvidenceFacts, type EvidenceFile, evidenceLimits } from "./protocol.ts";

/** Bytes of a file of /proc that are read: the maps of thousands of files, the sockets of a large host. */
const FILE_BYTES = 4 << 20;
const CHUNK_BYTES = 1 << 16;

/** include/net/tcp_states.h */
const tcpStates: readonly string[] = [
  "",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];

/**
 * Reads the evidence behind `files`, whose descriptors the caller closes. `sockets`: inodes of the sockets that the process
 * has. `copyBytes`: the largest executable that is copied to the file `copy`. What cannot be read is absent, and so is what lies
 * in the memory of a process that keeps its readers waiting. May block as long as the file system of the executable does.
 */
export function readEvidence(
  files: ReadonlyMap<EvidenceFile, number>,
  sockets: readonly number[],
  memory: Pick<MemoryReads, "read">,
  copyBytes = 0,
): EvidenceFacts {
  const textOf = (file: EvidenceFile): string | undefined => {
    const fd = files.get(file);
    const bytes = fd === undefined ? undefined : memory.read(fd, FILE_BYTES);
    return bytes === undefined ? undefined : decodeText(bytes);
  };
  const environ = textOf("environ");
  // If one of them hangs, so does the other.
  const maps = environ === undefined && files.has("environ") ? undefined : textOf("maps");
  return {
    ...executableFacts(files.get("executable"), files.get("copy"), copyBytes),
    ...(environ === undefined ? {} : { environmentNames: bounded(namesOf(environ), evidenceLimits.names) }),
    ...(maps === undefined ? {} : { maps: bounded(mappedFiles(maps), evidenceLimits.maps) }),
    sockets: bounded(socketTexts(files, new Set(sockets)), evidenceLimits.sockets),
  };
}

function executableFacts(
  executable: number | undefined,
  copy: number | undefined,
  copyBytes: number,
): Pick<EvidenceFacts, "digest" | "size" | "isCopied"> {
  if (executable === undefined) return {};
  const copied = copy === undefined ? undefined : copyContent(executable, copy, copyBytes);
  if (copied !== undefined) return { ...copied, isCopied: true };
  const { digest, state } = examineContent("", executable, undefined);
  return {
    ...(digest === undefined ? {} : { digest }),
    ...(state === undefined ? {} : { size: state.size }),
  };
}

/** The names of the variables in /proc/PID/environ; their values are often secrets. */
export function namesOf(environ: string): readonly string[] {
  const names = environ.split("\0").flatMap((variable) => {
    const end = variable.indexOf("=");
    return end > 0 ? [variable.slice(0, end)] : [];
  });
  return [...new Set(names)];
}

/** Each file in /proc/PID/maps (proc_pid_maps(5)) once, with `x` for those that can be executed; and code without a file. */
export function mappedFiles(maps: string): readonly string[] {
  const files = new Map<string, boolean>();
  let anonymousCode = 0;
  for (const line of maps.split("\n")) {
    const [, permissions = "", path = ""] =
      /^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+ *(.*)$/.exec(line) ?? [];
    const isCode = permissions[2] === "x";
    if (path.startsWith("/")) files.set(path, isCode || files.get(path) === true);
    else if (path === "" && isCode) anonymousCode += 1;
  }
  const listed = [...files].map(([path, isCode]) => (isCode ? `x ${path}` : `- ${path}`));
  return anonymousCode === 0 ? listed : [`x anonymous (${anonymousCode})`, ...listed];
}

function socketTexts(
  files: ReadonlyMap<EvidenceFile, number>,
  wanted: ReadonlySet<number>,
): readonly string[] {
  if (wanted.size === 0) return [];
  return (["tcp", "tcp6", "udp", "udp6"] as const).flatMap((table) => {
    const fd = files.get(table);
    const text = fd === undefined ? "" : (readAll(fd) ?? "");
    return text.split("\n").flatMap((line) => {
      const socket = parseSocketLine(line);
      if (socket === undefined || !wanted.has(socket.inode)) return [];
      const local = endpoint(socket.address, socket.port);
      const peer = socket.peerPort === 0 ? "" : ` to ${endpoint(socket.peerAddress, socket.peerPort)}`;
      const isTcp = table.startsWith("tcp");
      const state = isTcp ? ` ${tcpStates[socket.state] ?? socket.state}` : "";
      return [`${isTcp ? "tcp" : "udp"} ${local}${peer}${state}`];
    });
  });
}

function endpoint(address: readonly number[], port: number): string {
  const text = formatAddress(address);
  return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`;
}

function bounded(
  texts: readonly string[],
  { count, characters }: { readonly count: number; readonly characters: number },
): readonly string[] {
  return texts.slice(0, count).map((text) => unambiguous(text.slice(0, characters)).slice(0, characters));
}

/** Undefined if the file cannot be read. */
function readAll(fd: number): string | undefined {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    while (length < FILE_BYTES) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const got = readSync(fd, chunk, 0, chunk.length, null);
      if (got === 0) break;
      parts.push(chunk.subarray(0, got));
      length += got;
    }
  } catch {
    return undefined;
  }
  return decodeText(Buffer.concat(parts));
}
