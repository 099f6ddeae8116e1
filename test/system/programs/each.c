// each LIST: runs every program whose path is a line of LIST, one after the other.
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

int main(int argc, char **argv) {
  FILE *list = argc == 2 ? fopen(argv[1], "r") : 0;
  if (!list) return 2;
  char path[4096];
  while (fgets(path, sizeof path, list)) {
    path[strcspn(path, "\n")] = 0;
    char *arguments[] = {path, 0}, *environment[] = {0};
    pid_t pid;
    if (posix_spawn(&pid, path, 0, 0, arguments, environment) != 0) return 1;
    waitpid(pid, 0, 0);
  }
  return 0;
}
