// brood MODE COUNT: starts COUNT processes as fast as it can, each of which lives for 20 seconds.
// wide: all are its own children. deep: each is the child of the one before. fleeing: each is the child of the one
// before, which exits at once, so that only the last one lives.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int wide = strcmp(argv[1], "wide") == 0, fleeing = strcmp(argv[1], "fleeing") == 0;
  alarm(20);
  for (int count = atoi(argv[2]); count > 0; count--) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      // Not inherited by fork(2).
      alarm(20);
      if (wide) break;
    } else if (fleeing) {
      _exit(0);
    } else if (!wide) {
      break;
    }
  }
  for (;;) pause();
}
