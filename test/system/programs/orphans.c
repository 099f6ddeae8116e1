// orphans FOLDER COUNT MICROSECONDS: COUNT times, this long apart, FOLDER/tw-middle starts FOLDER/tw-leaf-N (N from 0 to
// 39) with a number of its own, and exits without waiting for it. Every tenth of these becomes FOLDER/tw-late-N after two
// seconds. All of them are this program.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  const char *slash = strrchr(argv[0], '/');
  const char *name = slash ? slash + 1 : argv[0];
  if (strncmp(name, "tw-late-", 8) == 0) return 0;
  char path[4096];
  if (strncmp(name, "tw-leaf-", 8) == 0) {
    if (atoi(argv[1]) % 10 != 3) return 0;
    sleep(2);
    snprintf(path, sizeof path, "%.*s/tw-late-%s", (int)(slash - argv[0]), argv[0], name + 8);
    execv(path, (char *[]){path, argv[1], 0});
    return 1;
  }
  if (strcmp(name, "tw-middle") == 0) {
    if (fork() > 0) _exit(0);
    snprintf(path, sizeof path, "%s/tw-leaf-%d", argv[1], atoi(argv[2]) % 40);
    execv(path, (char *[]){path, argv[2], 0});
    return 1;
  }
  if (argc != 4) return 2;
  for (int i = 0; i < atoi(argv[2]); i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    snprintf(path, sizeof path, "%s/tw-middle", argv[1]);
    pid_t pid = fork();
    if (pid == 0) {
      execv(path, (char *[]){path, argv[1], number, 0});
      _exit(1);
    }
    waitpid(pid, 0, 0);
    usleep(atoi(argv[3]));
  }
  return 0;
}
