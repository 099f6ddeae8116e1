// spin PID: has the main thread of the process PID, a warden, run an endless loop as soon as it has set its dead-man timer, so
// that it spins while it is busy and not while it waits: a jump to itself is written where it goes on after
// timerfd_settime(2).
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
#define CALL registers.orig_rax
#define NEW_VALUE registers.rdx
#define NEXT registers.rip
static const uint64_t loop = 0xfeeb, bits = 16;
#else
#define CALL registers.regs[8]
#define NEW_VALUE registers.regs[2]
#define NEXT registers.pc
static const uint64_t loop = 0x14000000, bits = 32;
#endif

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  alarm(10);
  pid_t pid = atoi(argv[1]);
  struct user_regs_struct registers;
  struct iovec all = {&registers, sizeof registers};
  int status, entered = 0;
  if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0) return 3;
  for (;;) {
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return 4;
    if (WSTOPSIG(status) == (5 | 0x80)) { // SIGTRAP of a system call
      entered = !entered;
      if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) < 0) return 5;
      // struct itimerspec: seconds and nanoseconds of the interval. 0: the timer is disarmed.
      if (!entered && CALL == SYS_timerfd_settime &&
          (ptrace(PTRACE_PEEKDATA, pid, NEW_VALUE, 0) != 0 || ptrace(PTRACE_PEEKDATA, pid, NEW_VALUE + 8, 0) != 0))
        break;
    } else if (!entered) {
      // Interrupted in a system call, whose end comes next.
      if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) < 0) return 6;
      entered = (long)CALL >= 0;
    }
    if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0) return 7;
  }
  uint64_t word = (uint64_t)ptrace(PTRACE_PEEKTEXT, pid, NEXT, 0);
  word = (word >> bits << bits) | loop;
  if (ptrace(PTRACE_POKETEXT, pid, NEXT, (long)word) < 0) return 8;
  return ptrace(PTRACE_DETACH, pid, 0, 0) < 0 ? 9 : 0;
}
