// reach PID WAY COUNT PAUSE: tries COUNT times to have the process PID go on, or to get hold of it, and writes how often that was
// refused with EPERM. WAY: kill, thread, queue, pidfd, group; seize, attach, vm or mem; trace: gets hold of it once, and has it
// go on COUNT times. PAUSE: microseconds between two tries.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long reach(pid_t pid, const char *way) {
  if (!strcmp(way, "kill")) return kill(pid, SIGCONT);
  if (!strcmp(way, "thread")) return syscall(SYS_tgkill, pid, pid, SIGCONT);
  if (!strcmp(way, "queue")) return sigqueue(pid, SIGCONT, (union sigval){0});
  if (!strcmp(way, "group")) return kill(-getpgid(pid), SIGCONT);
  if (!strcmp(way, "seize")) return ptrace(PTRACE_SEIZE, pid, 0, 0);
  if (!strcmp(way, "attach")) return ptrace(PTRACE_ATTACH, pid, 0, 0);
  if (!strcmp(way, "pidfd")) {
    int fd = syscall(SYS_pidfd_open, pid, 0);
    long result = syscall(SYS_pidfd_send_signal, fd, SIGCONT, 0, 0);
    int failure = errno;
    close(fd);
    errno = failure;
    return result;
  }
  if (!strcmp(way, "vm")) {
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    return process_vm_readv(pid, &here, 1, &there, 1, 0);
  }
  if (!strcmp(way, "mem")) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDWR);
    // proc_mem_open passes the refusal on as EACCES.
    if (fd < 0 && errno == EACCES) errno = EPERM;
    return fd;
  }
  exit(2);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  useconds_t pause = atoi(argv[4]);
  alarm(20);
  int refused = 0;
  if (!strcmp(argv[2], "trace")) {
    pid_t pid = atoi(argv[1]);
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0) refused = errno == EPERM;
    for (int i = atoi(argv[3]); !refused && i > 0; i--) {
      waitpid(pid, 0, __WALL | WNOHANG);
      kill(pid, SIGCONT);
      ptrace(PTRACE_CONT, pid, 0, 0);
      usleep(pause);
    }
    printf("%d", refused);
    return 0;
  }
  for (int i = atoi(argv[3]); i > 0; i--) {
    if (reach(atoi(argv[1]), argv[2]) < 0 && errno == EPERM) refused++;
    if (pause > 0) usleep(pause);
  }
  printf("%d", refused);
  return 0;
}
