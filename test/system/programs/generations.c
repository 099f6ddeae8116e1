// generations fork|exec|both COUNT SECONDS PIDFILE A B
// fork: COUNT times the child goes on and the parent exits. exec: COUNT times the same process runs A, then B, in turn.
// both: each generation is forked, and then runs the other one. The last writes its pid into PIDFILE and waits SECONDS.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void forkOn(void) {
  pid_t pid = fork();
  if (pid < 0) exit(1);
  if (pid > 0) _exit(0);
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  int count = atoi(argv[2]);
  if (strcmp(argv[1], "fork") == 0) {
    for (; count > 0; count--) forkOn();
  } else if (count > 0) {
    if (strcmp(argv[1], "both") == 0) forkOn();
    char left[16];
    snprintf(left, sizeof left, "%d", count - 1);
    char *next = count % 2 ? argv[5] : argv[6];
    char *arguments[] = {next, argv[1], left, argv[3], argv[4], argv[5], argv[6], 0};
    execv(next, arguments);
    return 1;
  }
  char aside[4096];
  snprintf(aside, sizeof aside, "%s.new", argv[4]);
  FILE *file = fopen(aside, "w");
  if (!file) return 1;
  fprintf(file, "%d\n", getpid());
  fclose(file);
  rename(aside, argv[4]);
  sleep(atoi(argv[3]));
  return 0;
}
