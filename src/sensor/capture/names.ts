// Names in captures that records do not have. Whatever records have too goes by its name in the vocabulary.

/** Fields of lines. */
export const captureFields = {
  "capture.version": "version of the format",
  "capture.treewarden": "version of the treewarden that made the capture",
  "capture.made_by": "warden, or record without one",
  "capture.block": "number of a block, from 0 on",
  "capture.previous_sha256": "SHA-256 of the compressed block before this one, hexadecimal",
  "capture.end_reason": "why the capture ended",
  "capture.awaited": "the answer is on its way, and the exec is judged again when it comes",
  "capture.forgotten": "whose answers are out of force: user_names, examined or containers",
  "capture.text_name": "name of a text on which verdicts depend",
  "capture.text": "a part of that text",
  "capture.text_end": "it is the last part",
  "host.kernel": "release of the kernel",
  "host.boot_id": "id of the boot (/proc/sys/kernel/random/boot_id)",
  "host.boot_time_ms": "milliseconds since 1970 at which start ticks are 0",
  "clock.wall_offset": "CLOCK_REALTIME - CLOCK_MONOTONIC, ns",
  "clock.suspended": "CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns",
  "arguments.limit": "bytes of arguments that were read of each exec",
  "event.monotonic_time": "CLOCK_MONOTONIC, ns",
  "process.start_ticks": "clock ticks (100 a second) from boot to the start of the process",
  "process.start_exact": "the start is the kernel's own value",
  "process.current_parent_pid": "the parent as the kernel has it: a reaper, for an orphan",
  "process.kernel_thread": "it is a thread of the kernel",
  "process.comm": "the kernel's short name, all that process accounting knows",
  "process.exit.status": "raw wait status (wait(2))",
  "process.exec.filename": "the path that the kernel was given",
  "process.exec.script": "the #! script that the kernel was given",
  "process.group.id": "effective group id",
  "process.mount_namespace": "inode of the mount namespace",
  "process.pid_namespace": "inode of the pid namespace",
  "process.user_mounts": "the mount namespace belongs to a user's namespace",
  "process.executable.device": "st_dev of the executable",
  "process.executable.inode": "st_ino of the executable",
  "process.executable.trusted": "root owns the executable, and nobody else can write it",
  "process.environment": "what was read of the environment: NAME=value, or NAME alone if it was not set",
  "process.executable.examined": "the examiner has answered",
} as const;
export type CaptureField = keyof typeof captureFields;

/** `event.name` of lines that are no record's. */
export const captureLines = {
  "capture.header": "the first line",
  "capture.block": "the first line of a block",
  "capture.end": "the last line",
  "capture.clock": "the host's clocks from here on",
  "capture.scanned_process": "a process that a scan found",
  "capture.scan": "the end of a scan's processes",
  "capture.scan_end": "what the scan did not find has ended",
  "capture.process_start": "the exact start of a process, read later",
  "capture.user_name": "the name of a user",
  "capture.examined": "the examiner's answer about a file from here on",
  "capture.container": "the image of a container from here on",
  "capture.changed":
    "whether what a process runs holds what was accepted: for its exec that follows, or judged again",
  "capture.forget": "answers that are out of force",
  "capture.text": "a part of a text on which verdicts depend",
  "process.fork": "a process was made by another one",
  "process.user": "the effective user of a process changed",
} as const;
export type CaptureLineName = keyof typeof captureLines;
