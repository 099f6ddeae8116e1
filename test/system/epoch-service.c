// A service that starts programs at a rate until standard input ends:
//   epoch-service OUTPUT RATE PROBE CARRIER OTHER
// One in five is PROBE, one in five is CARRIER, the others are OTHER. Each PROBE and CARRIER gets `-c` and a number as its
// arguments (a shell runs no script then), and OUTPUT as descriptor 9, to which it writes when it began to run (epoch-probe.c). At the end each of them is a line: a letter
// (P or C), its number, when it was started and when it had ended (ns, CLOCK_MONOTONIC), and the signal that ended it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1000000, PIDS = 1 << 22 };

struct probe {
  char kind;
  int signal;
  long long started, ended;
};

static struct probe probes[MOST];
/** The number of the probe that runs as a pid, plus one. */
static int probe_of[PIDS];
static int count, running;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void reap(int flags) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, flags)) > 0) {
    running--;
    int of = probe_of[pid];
    probe_of[pid] = 0;
    if (of == 0) continue;
    probes[of - 1].ended = now();
    probes[of - 1].signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
}

static void start(char kind, char *program) {
  char number[16];
  char *arguments[] = {program, "-c", number, NULL}, *environment[] = {NULL};
  snprintf(number, sizeof number, "%d", count);
  int is_probe = kind != 'O' && count < MOST;
  long long before = now();
  pid_t pid;
  if (posix_spawn(&pid, program, NULL, NULL, arguments, environment) != 0) return;
  running++;
  if (!is_probe) return;
  probes[count].kind = kind;
  probes[count].started = before;
  probe_of[pid] = ++count;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  int output = open(argv[1], O_WRONLY);
  if (output < 0 || dup2(output, 9) < 0) return 1;
  double pause = 1e9 / atof(argv[2]);
  struct pollfd input = {.fd = 0, .events = POLLIN};
  long long begin = now();
  for (long i = 0;; i++) {
    long long due = begin + (long long)(i * pause);
    struct timespec t = {due / 1000000000LL, due % 1000000000LL};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    if (poll(&input, 1, 0) > 0) break;
    reap(WNOHANG);
    if (i % 5 == 0) start('P', argv[3]);
    else if (i % 5 == 1) start('C', argv[4]);
    else start('O', argv[5]);
  }
  while (running > 0) reap(0);
  for (int i = 0; i < count; i++)
    printf("%c %d %lld %lld %d\n", probes[i].kind, i, probes[i].started, probes[i].ended, probes[i].signal);
  return 0;
}
