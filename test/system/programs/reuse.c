// reuse ROUNDS WORKERS UID DOOMED INNOCENT: as root. ROUNDS times in each of WORKERS processes: a child becomes user UID and
// DOOMED, and ends after 0 to 3 ms unless it is killed before; then another child gets its pid (clone3's set_tid), at the
// earliest two clock ticks after the fork of the first, as with the smallest pid_max that a host can live with. Every fourth
// of the first waits that long before it executes anything, so that the second comes right after it. That one
// executes INNOCENT, which lives for up to 300 ms, or goes on as it is, which is for a moment only. Prints how many pids were
// reused, how many of the first were killed, and how many of the others were.
// As DOOMED or INNOCENT it sleeps for as many microseconds as its argument says.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIN_REUSE_NS 20000000L

struct counts {
  int reused, killed, wrong;
};

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

static pid_t forkAs(pid_t pid) {
  struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
  return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static void become(const char *program, long microseconds) {
  char text[24];
  snprintf(text, sizeof text, "%ld", microseconds);
  execl(program, program, text, (char *)0);
  _exit(1);
}

static int wasKilled(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status);
}

int main(int argc, char **argv) {
  if (argc == 2) {
    usleep((useconds_t)atol(argv[1]));
    return 0;
  }
  if (argc != 6) return 2;
  struct counts *counts = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int workers = atoi(argv[2]);
  for (int worker = 0; worker < workers; worker++) {
    if (fork() > 0) continue;
    srand((unsigned)worker + 1);
    for (int round = 0; round < atoi(argv[1]); round++) {
      long start = now();
      pid_t first = fork();
      if (first == 0) {
        if (setuid((uid_t)atoi(argv[3])) != 0) _exit(1);
        if (round % 4 == 0) {
          usleep(MIN_REUSE_NS / 1000);
          become(argv[4], 0);
        }
        become(argv[4], rand() % 3000);
      }
      rand();
      if (wasKilled(first)) __atomic_add_fetch(&counts->killed, 1, __ATOMIC_RELAXED);
      long early = start + MIN_REUSE_NS - now();
      if (early > 0) usleep((useconds_t)(early / 1000));
      int executes = rand() % 2;
      long lives = rand() % 8 == 0 ? rand() % 300000 : rand() % 5000;
      pid_t second = forkAs(first);
      // Another process of the host has taken the pid.
      if (second < 0) continue;
      if (second == 0) {
        if (executes) become(argv[5], lives);
        usleep((useconds_t)lives);
        _exit(0);
      }
      __atomic_add_fetch(&counts->reused, 1, __ATOMIC_RELAXED);
      if (wasKilled(second)) __atomic_add_fetch(&counts->wrong, 1, __ATOMIC_RELAXED);
    }
    _exit(0);
  }
  while (wait(0) > 0) {
  }
  printf("%d %d %d\n", counts->reused, counts->killed, counts->wrong);
  return 0;
}
