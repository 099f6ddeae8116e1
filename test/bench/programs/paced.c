// paced RATE SECONDS PROGRAM: starts PROGRAM RATE times a second (0: back to back), one after the other, with two
// arguments: $MARK and a number, with $SAME always 0. Prints the wall time in ns and how many were started; then, for each of the first
// 200,000, three times in ns: from posix_spawn(3) to the stamp that the program wrote (see stamp.c; -1 if none), from that
// stamp, or else from posix_spawn(3), to the end as waitpid(2) told it, negative if no SIGKILL ended it, and for how long
// posix_spawn(3) ran.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 200000 };
static long long times[MOST][3];

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  double rate = atof(argv[1]), seconds = atof(argv[2]);
  char *mark = getenv("MARK") ? getenv("MARK") : "mark", *environment[] = {0};
  FILE *out = fdopen(dup(1), "w");
  int ends[2];
  if (pipe(ends) != 0 || dup2(ends[1], 1) < 0) return 1;
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  long long start = now(), end = start + seconds * 1e9;
  int count = 0;
  for (;; count++) {
    if (rate > 0) {
      long long due = start + count * (1e9 / rate);
      if (due >= end) break;
      struct timespec t = {due / 1000000000LL, due % 1000000000LL};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
    } else if (now() >= end) {
      break;
    }
    char number[16];
    snprintf(number, sizeof number, "%d", getenv("SAME") ? 0 : count);
    char *arguments[] = {argv[3], mark, number, 0};
    pid_t pid;
    int status;
    long long before = now(), stamp;
    if (posix_spawn(&pid, argv[3], 0, 0, arguments, environment) != 0) {
      perror(argv[3]);
      return 1;
    }
    long long spawned = now();
    waitpid(pid, &status, 0);
    long long after = now();
    int stamped = read(ends[0], &stamp, sizeof stamp) == sizeof stamp;
    if (count >= MOST) continue;
    times[count][0] = stamped ? stamp - before : -1;
    times[count][2] = spawned - before;
    long long rest = after - (stamped ? stamp : before);
    times[count][1] = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? rest : -rest;
  }
  fprintf(out, "%lld %d\n", now() - start, count);
  for (int i = 0; i < count && i < MOST; i++) fprintf(out, "%lld %lld %lld\n", times[i][0], times[i][1], times[i][2]);
  return fclose(out) != 0;
}
