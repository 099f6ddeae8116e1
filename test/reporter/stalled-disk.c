// A disk that does not answer: while the file TREEWARDEN_TEST_STALL is there, no sync returns.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void stall(void) {
  const char *file = getenv("TREEWARDEN_TEST_STALL");
  const struct timespec pause = {0, 10 * 1000 * 1000};
  while (file != NULL && access(file, F_OK) == 0) nanosleep(&pause, NULL);
}

int fsync(int fd) {
  stall();
  return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
  stall();
  return (int)syscall(SYS_fdatasync, fd);
}
