// What systemd has at the other end of $NOTIFY_SOCKET: a datagram socket of AF_UNIX.
import { dlopen } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
});

// sys/socket.h
const [AF_UNIX, SOCK_DGRAM, MSG_DONTWAIT] = [1, 2, 0x40];

export class NotifyReceiver implements Disposable {
  /** All lines so far. */
  readonly lines: string[] = [];
  private readonly fd: number;

  /** `address`: a path that does not exist, or `@` and a name. */
  constructor(address: string) {
    this.fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
    const name = new Uint8Array(new ArrayBuffer(2 + address.length));
    name[0] = AF_UNIX;
    name.set(new TextEncoder().encode(address), 2);
    if (address.startsWith("@")) name[2] = 0;
    if (libc.bind(this.fd, name, name.length) !== 0) throw new Error(`cannot bind to ${address}`);
  }

  /** Reads what has arrived; whether a line fits now. */
  has(line: string | RegExp): boolean {
    const packet = new Uint8Array(new ArrayBuffer(4096));
    for (;;) {
      const length = libc.recv(this.fd, packet, packet.length, MSG_DONTWAIT);
      if (length < 0) break;
      this.lines.push(...new TextDecoder().decode(packet.subarray(0, length)).split("\n"));
    }
    return this.lines.some((each) => (typeof line === "string" ? each === line : line.test(each)));
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}
