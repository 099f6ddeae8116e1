// The shortest life a program can have: no C library, one system call.
__attribute__((naked, noreturn)) void _start(void) {
#if defined(__x86_64__)
  __asm__("xor %edi, %edi\n mov $60, %eax\n syscall");
#elif defined(__aarch64__)
  __asm__("mov x0, #0\n mov x8, #93\n svc #0");
#endif
}
