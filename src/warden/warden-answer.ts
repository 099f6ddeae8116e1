// The warden's answers to requests of commands: a file each, in the folder of requests, which only root can read.
import * as v from "valibot";
import { parseJson } from "../vocabulary/parse-json.ts";
import { wardenStatus } from "./warden-status.ts";

/** Maximum size of an answer in bytes. */
export const ANSWER_LIMIT = 4 << 20;

const savedAnswer = v.strictObject({
  version: v.literal(1),
  /** The epoch in which the request is in force. */
  epoch: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** What is wrong; empty if the request was carried out. */
  problems: v.pipe(v.array(v.string()), v.readonly()),
  /** What the person who asked should know besides. */
  notes: v.pipe(v.array(v.string()), v.readonly()),
  /** For a request of the status. */
  status: v.nullable(wardenStatus),
});

/** What the warden answers once a request is carried out. */
export type WardenAnswer = Readonly<Omit<v.InferOutput<typeof savedAnswer>, "version">>;

/** The content of an answer's file. */
export function formatWardenAnswer(answer: WardenAnswer): string {
  return `${JSON.stringify({ version: 1, ...answer })}\n`;
}

/** Parses the content of an answer's file; undefined if it is not a valid answer. */
export function parseWardenAnswer(text: string): WardenAnswer | undefined {
  const saved = parseJson(savedAnswer, text);
  if (saved === undefined) return undefined;
  const { version: _version, ...answer } = saved;
  return answer;
}
