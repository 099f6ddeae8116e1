// spawn COUNT PROGRAM PARENTS: each of PARENTS processes starts PROGRAM COUNT times, one after the other, with two
// arguments: a mark that is the same for the whole run (from $MARK) and a number, and with as many variables of 50 bytes
// in its environment as $VARIABLES says. Prints the wall time in ns.
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 200 };

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void work(int first, int count, char *program, char *mark) {
  static char texts[MOST][50], *environment[MOST + 1];
  int variables = getenv("VARIABLES") ? atoi(getenv("VARIABLES")) : 0;
  for (int i = 0; i < variables && i < MOST; i++) {
    snprintf(texts[i], sizeof texts[i], "VARIABLE_%03d=%036d", i, i);
    environment[i] = texts[i];
  }
  for (int i = first; i < first + count; i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    char *argv[] = {program, mark, number, 0};
    pid_t pid;
    if (posix_spawn(&pid, program, 0, 0, argv, environment) != 0) {
      perror(program);
      _exit(1);
    }
    waitpid(pid, 0, 0);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int count = atoi(argv[1]), parents = atoi(argv[3]);
  char *mark = getenv("MARK") ? getenv("MARK") : "mark";
  long long start = now();
  for (int p = 0; p < parents; p++) {
    if (fork() == 0) {
      work(p * count, count, argv[2], mark);
      _exit(0);
    }
  }
  int failed = 0, status;
  while (wait(&status) > 0) failed |= status != 0;
  printf("%lld\n", now() - start);
  return failed;
}
