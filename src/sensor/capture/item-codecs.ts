// How each item of a capture is written as a line. The table `codecs` has an entry for each kind of line.
import type { PodOfContainer } from "../../vocabulary/pod.ts";
import type { Line, OpenLine } from "./blocks.ts";
import { eventCodecs } from "./event-codecs.ts";
import { readFacts, writeFacts } from "./facts-line.ts";
import { type Codec, fields } from "./item-fields.ts";
import type { LineItems, LineKind } from "./items.ts";
import { Malformed, valueIn } from "./line-values.ts";

const codecs: { readonly [K in LineKind]: Codec<LineItems[K]> } = {
  ...eventCodecs,
  clock: {
    name: "capture.clock",
    write: ({ wallOffset, suspended }, line) => {
      line[fields.wallOffset.name] = fields.wallOffset.write(wallOffset);
      line[fields.suspended.name] = fields.suspended.write(suspended);
    },
    read: (line) => ({
      kind: "clock",
      wallOffset: valueIn(line, fields.wallOffset),
      suspended: valueIn(line, fields.suspended),
    }),
  },
  scanned: {
    name: "capture.scanned_process",
    write: ({ process }, line) => {
      line[fields.pid.name] = process.pid;
      line[fields.kernelThread.name] = process.kernelThread;
      writeFacts(process.facts, line);
    },
    read: (line) => ({
      kind: "scanned",
      process: {
        pid: valueIn(line, fields.pid),
        kernelThread: valueIn(line, fields.kernelThread),
        facts: readFacts(line),
      },
    }),
  },
  scan: {
    name: "capture.scan",
    write: ({ time: at }, line) => {
      line[fields.time.name] = fields.time.write(at);
    },
    read: (line) => ({ kind: "scan", time: valueIn(line, fields.time) }),
  },
  scan_end: {
    name: "capture.scan_end",
    write: () => {},
    read: () => ({ kind: "scan_end" }),
  },
  process_start: {
    name: "capture.process_start",
    write: ({ pid: process, startTicks }, line) => {
      line[fields.pid.name] = process;
      line[fields.startTicks.name] = fields.startTicks.write(startTicks);
    },
    read: (line) => ({
      kind: "process_start",
      pid: valueIn(line, fields.pid),
      startTicks: valueIn(line, fields.startTicks),
    }),
  },
  user_name: {
    name: "capture.user_name",
    write: ({ uid, name }, line) => {
      line[fields.uid.name] = uid;
      line[fields.userName.name] = fields.userName.write(name);
    },
    read: (line) => ({
      kind: "user_name",
      uid: valueIn(line, fields.uid),
      name: valueIn(line, fields.userName),
    }),
  },
  examined: {
    name: "capture.examined",
    write: ({ path, device, inode, examined }, line) => {
      line[fields.path.name] = fields.path.write(path);
      line[fields.device.name] = fields.device.write(device);
      line[fields.inode.name] = fields.inode.write(inode);
      line[fields.isExamined.name] = examined !== undefined;
      line[fields.package.name] = fields.package.write(examined?.package);
      line[fields.unpackaged.name] = examined?.unpackaged;
      line[fields.modified.name] = examined?.modified;
    },
    read: (line) => {
      const owner = valueIn(line, fields.package);
      const unpackaged = valueIn(line, fields.unpackaged);
      const modified = valueIn(line, fields.modified);
      return {
        kind: "examined",
        path: valueIn(line, fields.path),
        device: valueIn(line, fields.device),
        inode: valueIn(line, fields.inode),
        examined: valueIn(line, fields.isExamined)
          ? {
              ...(owner === undefined ? {} : { package: owner }),
              ...(unpackaged === undefined ? {} : { unpackaged }),
              ...(modified === undefined ? {} : { modified }),
            }
          : undefined,
      };
    },
  },
  container: {
    name: "capture.container",
    write: ({ id, image, pod }, line) => {
      line[fields.container.name] = fields.container.write(id);
      line[fields.image.name] = fields.image.write(image);
      line[fields.pod.name] = fields.pod.write(pod === null ? null : pod?.name);
      line[fields.namespace.name] = fields.namespace.write(pod?.namespace);
      line[fields.containerInPod.name] = fields.containerInPod.write(pod?.container);
    },
    read: (line) => ({
      kind: "container",
      id: valueIn(line, fields.container),
      image: valueIn(line, fields.image),
      pod: podIn(line),
    }),
  },
  changed: {
    name: "capture.changed",
    write: ({ pid: process, time: at, changed, isAwaited }, line) => {
      line[fields.pid.name] = process;
      line[fields.time.name] = fields.time.write(at);
      line[fields.changed.name] = changed;
      line[fields.isAwaited.name] = isAwaited;
    },
    read: (line) => ({
      kind: "changed",
      pid: valueIn(line, fields.pid),
      time: valueIn(line, fields.time),
      changed: valueIn(line, fields.changed),
      isAwaited: valueIn(line, fields.isAwaited),
    }),
  },
  peer: {
    name: "capture.peer",
    write: ({ pid: process, time: at, name, known }, line) => {
      line[fields.pid.name] = process;
      line[fields.time.name] = fields.time.write(at);
      line[fields.peerName.name] = fields.peerName.write(name);
      line[fields.peerKnown.name] = fields.peerKnown.write(known);
    },
    read: (line) => ({
      kind: "peer",
      pid: valueIn(line, fields.pid),
      time: valueIn(line, fields.time),
      name: valueIn(line, fields.peerName),
      known: valueIn(line, fields.peerKnown),
    }),
  },
  forget: {
    name: "capture.forget",
    write: ({ what }, line) => {
      line[fields.forgotten.name] = what;
    },
    read: (line) => ({ kind: "forget", what: valueIn(line, fields.forgotten) }),
  },
  text: {
    name: "capture.text",
    write: ({ name, text: content, isLast }, line) => {
      line[fields.textName.name] = fields.textName.write(name);
      line[fields.text.name] = content;
      line[fields.isLast.name] = isLast;
    },
    read: (line) => ({
      kind: "text",
      name: valueIn(line, fields.textName),
      text: valueIn(line, fields.text),
      isLast: valueIn(line, fields.isLast),
    }),
  },
};

function podIn(line: Line): PodOfContainer | null | undefined {
  const name = valueIn(line, fields.pod);
  if (typeof name !== "string") return name;
  return {
    name,
    namespace: valueIn(line, fields.namespace),
    container: valueIn(line, fields.containerInPod),
  };
}

/** The line of an item. */
export function writeItem<K extends LineKind>(kind: K, item: LineItems[K]): Line {
  const { name, write } = codecs[kind];
  const line: OpenLine = { "event.name": name };
  write(item, line);
  return line;
}

const readers = new Map<unknown, (line: Line) => LineItems[LineKind]>(
  Object.values(codecs).map(({ name, read }) => [name, read]),
);

/**
 * Parses a line. Throws Malformed, also if the name of the line is unknown: verdicts might depend on a line that a
 * newer version has added, so it must not be skipped.
 */
export function readItem(line: Line): LineItems[LineKind] {
  const read = readers.get(line["event.name"]);
  if (read === undefined) throw new Malformed("a line has no event.name that this version knows");
  return read(line);
}
