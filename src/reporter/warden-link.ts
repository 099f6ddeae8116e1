// The reporter's end of the wire.
import { readPackets } from "../linux/packets.ts";
import { sendPacket } from "../linux/socketpair.ts";
import { type Frame, formatRequest, parseFrame, type Request } from "../report/wire.ts";

/** A request that the full socket did not take is tried again this much later. */
const RETRY_MS = 20;

export interface WardenLink {
  /** Sends `request` as soon as the socket takes it, unless a later one of its type comes first and takes its place. */
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
  // One of each type at most, oldest first. A later one says all that an earlier one did: an acknowledgement, what is in the
  // journal; `ready` and `watch`, how things stand now; and of two pings nobody waits for the first one's answer any more.
  const waiting = new Map<Request["type"], Request>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = (): void => {
    timer = undefined;
    for (const [type, request] of waiting) {
      if (!sendPacket(fd, new TextEncoder().encode(formatRequest(request)))) {
        timer = setTimeout(flush, RETRY_MS);
        return;
      }
      waiting.delete(type);
    }
  };
  return {
    send(request) {
      waiting.delete(request.type);
      waiting.set(request.type, request);
      if (timer === undefined) flush();
    },
    close() {
      clearTimeout(timer);
      socket.close();
    },
  };
}
