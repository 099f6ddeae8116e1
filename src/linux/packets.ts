// Reads packets of an inherited socket on the runtime's event loop, for the processes that use it.
// The runtime accepts a descriptor, although its type declarations (1.4.4) do not allow one.
declare module "bun" {
  function connect(options: { fd: number; socket: SocketHandler<undefined> }): Promise<Socket<undefined>>;
}

/**
 * Calls back for each packet on a SOCK_SEQPACKET socket, and once when the last sender has closed its end. `close`
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
