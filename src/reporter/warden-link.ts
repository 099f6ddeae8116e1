// The reporter's end of the wire.
import { EAGAIN } from "../linux/libc.ts";
import { readPackets } from "../linux/packets.ts";
import { trySend } from "../linux/socketpair.ts";
import { type Frame, formatRequest, parseFrame, type Request } from "../report/wire.ts";

/** A request that the full socket did not take is tried again this much later. */
const RETRY_MS = 20;
/** Requests that wait because the warden does not read: more are not worth sending. */
const WAITING = 64;

export interface WardenLink {
  send(request: Request): void;
  close(): void;
}

/**
 * Reads packets from the warden as they come; what is no frame is passed over. The socket never hangs up while a
 * supervisor lives.
 */
export async function linkToWarden(
  fd: number,
  onFrame: (frame: Frame) => void,
  onClose: () => void,
): Promise<WardenLink> {
  const socket = await readPackets(
    fd,
    (bytes) => {
      const frame = parseFrame(bytes);
      if (frame !== undefined) onFrame(frame);
    },
    onClose,
  );
  const waiting: Request[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = (): void => {
    timer = undefined;
    for (let request = waiting[0]; request !== undefined; request = waiting[0]) {
      const packet = new TextEncoder().encode(formatRequest(request));
      if (trySend(fd, packet, packet.length) === -EAGAIN) {
        timer = setTimeout(flush, RETRY_MS);
        return;
      }
      waiting.shift();
    }
  };
  return {
    send(request) {
      // A later acknowledgement says what an earlier one did.
      const last = waiting.at(-1);
      if (request.type === "ack" && last?.type === "ack") waiting.pop();
      if (waiting.length < WAITING) waiting.push(request);
      if (timer === undefined) flush();
    },
    close() {
      clearTimeout(timer);
      socket.close();
    },
  };
}
