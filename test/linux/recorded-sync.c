// Notes on standard error what fsync(2) is called for: the path of the descriptor, one line each.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path);
  if (length >= 0) dprintf(2, "%.*s\n", (int)length, path);
  return (int)syscall(SYS_fsync, fd);
}
