// The reporter's end of the wire.
import { closeDescriptor } from "../linux/descriptor.ts";
import { readPackets } from "../linux/packets.ts";
import { isReadable } from "../linux/poll.ts";
import { sendPacket } from "../linux/socketpair.ts";
import { copyHigh } from "../linux/spawn.ts";
import { type Frame, formatRequest, parseFrame, type Request } from "../report/wire.ts";

/** The wait before a request is retried after the socket was full. */
const RETRY_MS = 20;

export interface WardenLink {
  /** Sends `request` as soon as the socket has room. A later request of the same type replaces a waiting one. */
  send(request: Request): void;
  /** Whether the warden has sent packets that `onFrame` was not called for yet. */
  readonly hasUnread: boolean;
  close(): void;
}

/**
 * Reads packets from the warden as they arrive; packets that are not frames are ignored. `onClose` is called once when
 * the socket is closed: the supervisor is gone, or somebody has shut it down. Nothing is sent any more from then on.
 */
export async function linkToWarden(
  fd: number,
  onFrame: (frame: Frame) => void,
  onClose: () => void,
): Promise<WardenLink> {
  // The runtime closes `fd` when the socket ends, and the next connection may get its number. A descriptor of its own
  // is closed here alone, so that no request can go to anybody but the warden.
  const sending = copyHigh(fd);
  let isOpen = true;
  // At most one request of each type, oldest first, because a later one covers an earlier one: an acknowledgement
  // covers all earlier records, `ready` and `watch` set the current state, and nobody waits any more for an earlier
  // ping.
  const waiting = new Map<Request["type"], Request>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = (): boolean => {
    if (!isOpen) return false;
    isOpen = false;
    clearTimeout(timer);
    closeDescriptor(sending);
    return true;
  };
  const socket = await readPackets(
    fd,
    (bytes) => {
      const frame = parseFrame(bytes);
      if (frame !== undefined) onFrame(frame);
    },
    () => {
      if (end()) onClose();
    },
  );
  const flush = (): void => {
    timer = undefined;
    for (const [type, request] of waiting) {
      if (!sendPacket(sending, new TextEncoder().encode(formatRequest(request)))) {
        timer = setTimeout(flush, RETRY_MS);
        return;
      }
      waiting.delete(type);
    }
  };
  return {
    send(request) {
      if (!isOpen) return;
      waiting.delete(request.type);
      waiting.set(request.type, request);
      if (timer === undefined) flush();
    },
    get hasUnread() {
      // Another descriptor of the same socket.
      return isOpen && isReadable(sending);
    },
    close() {
      end();
      socket.close();
    },
  };
}
