// Packets between treewarden's processes: each of them may be taken over.

import { parseWardenRequest } from "../../../src/baseline/warden-request.ts";
import { decodeExaminerMessage, decodeExaminerRequest } from "../../../src/examiner/protocol.ts";
import { formatRequest, parseFrame, parseRequest } from "../../../src/report/wire.ts";
import { decodeOrders } from "../../../src/supervisor/inherited.ts";
import { type FuzzTarget, sizeOf } from "../target.ts";

export const wire: FuzzTarget = {
  name: "wire",
  parses: "frames to the reporter, requests to the warden and the examiner, their answers, and orders",
  weight: 10,
  words: ['{"type":"', '"records":[', '"changed":[["events",["exec"],', '"generation":', '"seals":{'],
  parse(input) {
    const request = parseRequest(input);
    if (request !== undefined && parseRequest(Buffer.from(formatRequest(request))) === undefined)
      throw new Error("a request is not what it says");
    const messages = [decodeExaminerMessage(input), decodeExaminerRequest(input), parseWardenRequest(input)];
    return sizeOf([request, parseFrame(input), messages, decodeOrders(input)]);
  },
};
