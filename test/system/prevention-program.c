// A program whose first system call, with nothing before it but its numbers, appends a byte to descriptor 9.
#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "mov $1, %eax\n"
        "mov $9, %edi\n"
        "lea _start(%rip), %rsi\n"
        "mov $1, %edx\n"
        "syscall\n"
        "mov $60, %eax\n"
        "xor %edi, %edi\n"
        "syscall\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
        "_start:\n"
        "mov x8, #64\n"
        "mov x0, #9\n"
        "adr x1, _start\n"
        "mov x2, #1\n"
        "svc #0\n"
        "mov x8, #93\n"
        "mov x0, #0\n"
        "svc #0\n");
#endif
