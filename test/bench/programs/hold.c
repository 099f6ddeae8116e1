// hold COUNT PROGRAM: keeps COUNT processes of PROGRAM alive until standard input ends; says "held" when all are there.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int count = atoi(argv[1]), started = 0;
  pid_t *pids = calloc(count, sizeof *pids);
  int out = dup(1);
  fcntl(out, F_SETFD, FD_CLOEXEC);
  dup2(open("/dev/null", O_WRONLY), 1);
  char *environment[] = {0};
  for (; started < count; started++) {
    char number[16];
    snprintf(number, sizeof number, "%d", started);
    char *arguments[] = {argv[2], number, 0};
    if (posix_spawn(&pids[started], argv[2], 0, 0, arguments, environment) != 0) break;
  }
  char byte;
  if (write(out, "held\n", 5) == 5) while (read(0, &byte, 1) > 0);
  for (int i = 0; i < started; i++) kill(pids[i], SIGKILL);
  while (wait(0) > 0);
  return started != count;
}
