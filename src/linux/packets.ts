// Packets of an inherited socket, by the runtime's own event loop: for the processes that have one.
// The runtime takes a descriptor; its types (1.4.4) do not say so.
declare module "bun" {
  function connect(options: { fd: number; socket: SocketHandler<undefined> }): Promise<Socket<undefined>>;
}

/**
 * Calls back for each packet that comes on a SOCK_SEQPACKET socket, and once when nobody can send any more. `close`
 * closes the descriptor.
 */
export async function readPackets(
  fd: number,
  onPacket: (packet: Uint8Array) => void,
  onEnd: () => void,
): Promise<{ readonly close: () => void }> {
  const socket = await Bun.connect({
    fd,
    socket: {
      data(_socket, bytes) {
        onPacket(bytes);
      },
      close: onEnd,
      error: onEnd,
    },
  });
  return { close: () => void socket.end() };
}
