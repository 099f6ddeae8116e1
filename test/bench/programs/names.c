/* names FOLDER PROGRAM COUNT RATE: runs PROGRAM under COUNT different names of three words each, RATE a second. The
 * names look chosen, not random, so that each makes a tree of its own. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char *words[] = {
    "report", "mailer", "backup", "rotate", "import", "export", "client", "server", "worker", "sender",
    "reader", "writer", "parser", "linker", "loader", "logger", "viewer", "editor", "filter", "format",
    "memory", "kernel", "module", "signal", "socket", "thread", "window", "button", "folder", "record",
    "column", "number", "letter", "garden", "mirror", "bridge", "castle", "forest", "island", "market",
    "orange", "planet", "silver", "spring", "summer", "winter", "yellow", "purple", "family", "friend"};
#define WORDS 50

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  long count = atol(argv[3]);
  double rate = atof(argv[4]), begin = now();
  for (long i = 0; i < count; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%s-%s", argv[1], words[i % WORDS], words[i / WORDS % WORDS],
             words[i / WORDS / WORDS % WORDS]);
    if (link(argv[2], path) != 0) return 1;
    char *arguments[] = {path, NULL};
    pid_t child;
    if (posix_spawn(&child, path, NULL, NULL, arguments, environ) == 0) waitpid(child, NULL, 0);
    unlink(path);
    double early = begin + (i + 1) / rate - now();
    if (early > 0) usleep(early * 1e6);
  }
  return 0;
}
