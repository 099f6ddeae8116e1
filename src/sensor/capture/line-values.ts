// The values of a capture's lines, checked, because the writer of a capture is not trusted. Each kind of value has a function
// that writes it and one that reads it. A name that is absent is not known; null is really none.
import { unambiguous, undoUnambiguous } from "../../linux/text.ts";
import type { VariableName } from "../../vocabulary/variables.ts";
import type { EnvironmentVariables } from "../event.ts";
import type { Line } from "./blocks.ts";
import type { CaptureField } from "./names.ts";

/** A line is not what the format allows. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

/** linux/threads.h: PID_MAX_LIMIT of 64-bit kernels. */
const PID_LIMIT = 4 * 1024 * 1024;
/** Times and clocks are 64 bits, signed (ktime_t). */
const TIME_LIMIT = 2 ** 63;
/** st_dev and st_ino are 64 bits. */
const UINT64_LIMIT = 2 ** 64;
/** Four times PATH_MAX (linux/limits.h). A longer text is not kept: no sensor reads one. */
const TEXT_LIMIT = 16 * 1024;
/** Of all arguments together: twice what can be configured (`arguments.limit`). Longer ones are not kept. */
const ARGUMENTS_LIMIT = 256 * 1024;

type Written = string | number | boolean | null | readonly string[] | undefined;

export interface ValueCodec<T> {
  /** As JSON; undefined leaves the name out. */
  readonly write: (value: T) => Written;
  /** Throws Malformed. `value` is undefined if the name is absent. */
  readonly read: (value: unknown, name: string) => T;
}

/** Integers beyond 2^53 are written as text, because other programs would round them. */
function writeNumber(value: number): Written {
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value).toString() : value;
}

function readNumber(value: unknown, name: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "string" && /^-?\d{16,20}$/.test(value)) return Number(value);
  throw new Malformed(`${name} must be a number`);
}

function numberWithin(least: number, most: number, isWhole: boolean): ValueCodec<number> {
  return {
    write: writeNumber,
    read: (value, name) => {
      const number = readNumber(value, name);
      if (number >= least && number <= most && (!isWhole || Number.isInteger(number))) return number;
      throw new Malformed(`${name} is out of range`);
    },
  };
}

function readText(value: unknown, name: string): string {
  if (typeof value !== "string" || value.length > 5 * ARGUMENTS_LIMIT)
    throw new Malformed(`${name} must be text`);
  const text = undoUnambiguous(value);
  if (text === undefined) throw new Malformed(`${name} must be printable, with \\xNN and \\\\`);
  return text;
}

export const pid = numberWithin(0, PID_LIMIT, true);
/** User, group and session ids, wait statuses, namespaces, counts. */
export const uint32 = numberWithin(0, 0xffff_ffff, true);
export const port = numberWithin(0, 0xffff, true);
export const uint64 = numberWithin(0, UINT64_LIMIT, true);
/** Nanoseconds. */
export const time = numberWithin(-TIME_LIMIT, TIME_LIMIT, false);
export const ticks = numberWithin(-TIME_LIMIT, TIME_LIMIT, true);
export const seconds = numberWithin(-TIME_LIMIT, TIME_LIMIT, false);
export const eventCount = numberWithin(0, Number.MAX_SAFE_INTEGER, true);

export const bool: ValueCodec<boolean> = {
  write: (value) => value,
  read: (value, name) => {
    if (typeof value !== "boolean") throw new Malformed(`${name} must be true or false`);
    return value;
  },
};

export const text: ValueCodec<string> = {
  write: (value) => (value.length > TEXT_LIMIT ? undefined : unambiguous(value)),
  read: readText,
};

export const texts: ValueCodec<readonly string[]> = {
  write: (value) => {
    let length = value.length;
    for (const each of value) length += each.length;
    return length > ARGUMENTS_LIMIT ? undefined : value.map(unambiguous);
  },
  read: (value, name) => {
    if (!Array.isArray(value)) throw new Malformed(`${name} must be a list`);
    return value.map((each) => readText(each, name));
  },
};

/** Variables of an environment: `NAME=value`, or `NAME` alone for one that was not set. */
export const environment: ValueCodec<EnvironmentVariables> = {
  write: (value) =>
    texts.write([...value].map(([name, content]) => (content === null ? name : `${name}=${content}`))),
  read: (value, name) =>
    new Map(
      texts.read(value, name).map((entry) => {
        const equals = entry.indexOf("=");
        return equals === -1 ? [entry, null] : [entry.slice(0, equals), entry.slice(equals + 1)];
      }),
    ),
};

/** Text that treewarden has written itself, such as a policy: not escaped, and limited only by the length of a line. */
export const rawText: ValueCodec<string> = {
  write: (value) => value,
  read: (value, name) => {
    if (typeof value !== "string") throw new Malformed(`${name} must be text`);
    return value;
  },
};

export function oneOf<const T extends string>(values: readonly T[]): ValueCodec<T> {
  return {
    write: (value) => value,
    read: (value, name) => {
      const found = values.find((each) => each === value);
      if (found === undefined) throw new Malformed(`${name} must be one of ${values.join(", ")}`);
      return found;
    },
  };
}

/** A value that may be unknown. */
export function optional<T>({ write, read }: ValueCodec<T>): ValueCodec<T | undefined> {
  return {
    write: (value) => (value === undefined ? undefined : write(value)),
    read: (value, name) => (value === undefined ? undefined : read(value, name)),
  };
}

/** A value that the process may not have: null is known, and differs from unknown. */
export function nullable<T>({ write, read }: ValueCodec<T>): ValueCodec<T | null> {
  return {
    write: (value) => (value === null ? null : write(value)),
    read: (value, name) => (value === null ? null : read(value, name)),
  };
}

/** A name of a line and what stands under it. */
export interface Field<T> extends ValueCodec<T> {
  readonly name: FieldName;
}

/** The vocabulary's name, where records have the thing. */
export type FieldName = VariableName | CaptureField;

export function field<T>(name: FieldName, codec: ValueCodec<T>): Field<T> {
  return { name, ...codec };
}

/** The value of a line's field. Throws Malformed. */
export function valueIn<T>(line: Line, { name, read }: Field<T>): T {
  return read(line[name], name);
}
