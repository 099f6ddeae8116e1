// Writes the time of its first instruction to standard output (8 bytes, ns, CLOCK_MONOTONIC) and ends; with -DWAIT=N
// it first sleeps N seconds. No C library: nothing runs before it.
#include <sys/syscall.h>
#include <time.h>

static long call(long number, long a, long b, long c) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#endif
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
void _start(void) {
  struct timespec now;
  call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
  long long stamp = now.tv_sec * 1000000000LL + now.tv_nsec;
  call(SYS_write, 1, (long)&stamp, sizeof stamp);
#ifdef WAIT
  struct timespec wait = {WAIT, 0};
  call(SYS_nanosleep, (long)&wait, 0, 0);
#endif
  call(SYS_exit, 0, 0, 0);
}
