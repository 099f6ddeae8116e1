// The programs that `doctor --self-test` starts: static executables of some 250 bytes, so that the test needs no shell and
// no tool of the host, and also runs in a root that holds nothing but treewarden.

/** A processor: the machine number of elf.h (EM_X86_64, EM_AARCH64) and the program's instructions. */
interface Machine {
  readonly elfMachine: number;
  /** The time to sleep (struct timespec) follows the last instruction. */
  readonly code: Uint8Array;
}

/**
 * With an argument, the program starts the executable at that path, with the remaining arguments, and waits for it; without
 * one it sleeps. In both cases it then ends with 0. At its first instruction the stack holds argc and then the pointers of
 * argv. The comments show the instructions as an assembler writes them; numbers of system calls are those of unistd.h.
 */
const machines: Readonly<Record<string, Machine>> = {
  x64: {
    elfMachine: 62,
    code: bytes(
      "48 8b 04 24", //          mov rax, [rsp]            argc
      "48 8d 5c 24 10", //       lea rbx, [rsp + 16]       the first argument
      "48 ff c8", //             dec rax
      "74 33", //                jz sleep
      "b8 39 00 00 00 0f 05", // fork()
      "85 c0", //                test eax, eax
      "75 11", //                jnz parent
      "48 8b 3b", //             mov rdi, [rbx]
      "48 89 de", //             mov rsi, rbx
      "31 d2", //                xor edx, edx
      "b8 3b 00 00 00 0f 05", // execve(argv[1], argv + 1, NULL)
      "eb 27", //                jmp end
      "48 c7 c7 ff ff ff ff", // parent: mov rdi, -1
      "31 f6", //                xor esi, esi
      "31 d2", //                xor edx, edx
      "45 31 d2", //             xor r10d, r10d
      "b8 3d 00 00 00 0f 05", // wait4(-1, NULL, 0, NULL)
      "eb 10", //                jmp end
      "48 8d 3d 12 00 00 00", // sleep: lea rdi, [rip + time]
      "31 f6", //                xor esi, esi
      "b8 23 00 00 00 0f 05", // nanosleep(time, NULL)
      "31 ff", //                end: xor edi, edi
      "b8 3c 00 00 00 0f 05", // exit(0)
    ),
  },
  arm64: {
    elfMachine: 183,
    code: bytes(
      "e0 03 40 f9", // ldr x0, [sp]             argc
      "f4 43 00 91", // add x20, sp, #16         the first argument
      "00 04 00 d1", // sub x0, x0, #1
      "c0 02 00 b4", // cbz x0, sleep
      "20 02 80 d2", // mov x0, #17              SIGCHLD
      "01 00 80 d2", // mov x1, #0
      "02 00 80 d2", // mov x2, #0
      "03 00 80 d2", // mov x3, #0
      "04 00 80 d2", // mov x4, #0
      "88 1b 80 d2 01 00 00 d4", // clone(SIGCHLD, NULL, NULL, NULL, 0), a fork
      "e0 00 00 b5", // cbnz x0, parent
      "80 02 40 f9", // ldr x0, [x20]
      "e1 03 14 aa", // mov x1, x20
      "02 00 80 d2", // mov x2, #0
      "a8 1b 80 d2 01 00 00 d4", // execve(argv[1], argv + 1, NULL)
      "0c 00 00 14", // b end
      "00 00 80 92", // parent: mov x0, #-1
      "01 00 80 d2", // mov x1, #0
      "02 00 80 d2", // mov x2, #0
      "03 00 80 d2", // mov x3, #0
      "88 20 80 d2 01 00 00 d4", // wait4(-1, NULL, 0, NULL)
      "05 00 00 14", // b end
      "e0 00 00 10", // sleep: adr x0, time
      "01 00 80 d2", // mov x1, #0
      "a8 0c 80 d2 01 00 00 d4", // nanosleep(time, NULL)
      "00 00 80 d2", // end: mov x0, #0
      "a8 0b 80 d2 01 00 00 d4", // exit(0)
    ),
  },
};

function bytes(...lines: readonly string[]): Uint8Array {
  return Uint8Array.from(lines.join(" ").split(" "), (digits) => Number.parseInt(digits, 16));
}

// elf.h: sizes of Elf64_Ehdr and Elf64_Phdr. Pages have at most 64 KiB (arm64).
const HEADER = 64;
const PROGRAM_HEADER = 56;
const ADDRESS = 0x400000n;
const PAGE = 0x10000n;

/**
 * The executable for this processor, which sleeps for `milliseconds` if it is started without an argument; undefined on a
 * processor that treewarden is not made for.
 */
export function selfTestProgram(milliseconds: number): Uint8Array | undefined {
  const machine = machines[process.arch];
  if (machine === undefined) return undefined;
  const start = HEADER + PROGRAM_HEADER;
  const time = start + machine.code.length;
  const file = new Uint8Array(time + 16);
  const view = new DataView(file.buffer);
  const size = BigInt(file.length);
  // Elf64_Ehdr: 64 bits, little-endian, version 1; an executable with one program header.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine.elfMachine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, ADDRESS + BigInt(start), true);
  view.setBigUint64(32, BigInt(HEADER), true);
  view.setUint16(52, HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, 1, true);
  // Elf64_Phdr: PT_LOAD, readable and executable, the whole file.
  view.setUint32(HEADER, 1, true);
  view.setUint32(HEADER + 4, 5, true);
  view.setBigUint64(HEADER + 16, ADDRESS, true);
  view.setBigUint64(HEADER + 24, ADDRESS, true);
  view.setBigUint64(HEADER + 32, size, true);
  view.setBigUint64(HEADER + 40, size, true);
  view.setBigUint64(HEADER + 48, PAGE, true);
  file.set(machine.code, start);
  view.setBigUint64(time, BigInt(Math.floor(milliseconds / 1000)), true);
  view.setBigUint64(time + 8, BigInt(milliseconds % 1000) * 1_000_000n, true);
  return file;
}
