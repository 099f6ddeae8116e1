// overrun SECONDS PROCESSES: so many processes start a program again and again, each time with 16 KiB of arguments and
// 8 KiB of environment, which fill the space that a sensor has for events. Prints how often.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS = 16, LENGTH = 1000, VARIABLES = 8 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc > 3) return 0;
  if (argc != 3) return 2;
  static char argument[LENGTH + 1], variable[LENGTH + 3];
  memset(argument, 'x', LENGTH);
  memset(variable, 'y', LENGTH + 2);
  variable[1] = '=';
  char *arguments[ARGUMENTS + 5], *environment[VARIABLES + 1];
  for (int i = 0; i < ARGUMENTS + 4; i++) arguments[i] = argument;
  arguments[0] = argv[0];
  arguments[ARGUMENTS + 4] = NULL;
  for (int i = 0; i < VARIABLES; i++) environment[i] = variable;
  environment[VARIABLES] = NULL;
  long *started = mmap(NULL, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  double end = now() + atof(argv[1]);
  for (int count = atoi(argv[2]); count > 0; count--) {
    if (fork() != 0) continue;
    while (now() < end) {
      pid_t child = vfork();
      if (child == 0) {
        execve("/proc/self/exe", arguments, environment);
        _exit(1);
      }
      if (child > 0) waitpid(child, NULL, 0);
      __atomic_add_fetch(started, 1, __ATOMIC_RELAXED);
    }
    _exit(0);
  }
  while (wait(NULL) > 0) {
  }
  printf("%ld\n", *started);
}
