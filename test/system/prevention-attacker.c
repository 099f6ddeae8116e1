// A service that somebody has taken over: it starts programs by tricks. A line on standard input is a trick, a path and maybe
// another one, with tabs between them; the answer is how the program ended. Descriptor 9 of each program appends to the file
// that the first argument names.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void write_file(const char *file, const char *text) {
  int fd = open(file, O_WRONLY);
  if (fd >= 0 && write(fd, text, strlen(text)) < 0) _exit(125);
  if (fd >= 0) close(fd);
}

/** Mounts `path` over `other` in a mount namespace of its own, and executes it under that name. */
static void mounted(char *path, char *other) {
  char *arguments[] = {other, NULL};
  char map[64];
  snprintf(map, sizeof map, "0 %d 1", getuid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(124);
  write_file("/proc/self/uid_map", map);
  if (mount(path, other, NULL, MS_BIND, NULL) != 0) _exit(123);
  execv(other, arguments);
}

/** Executes a link of the file in a folder whose path is longer than any that can be reported. */
static void deep(char *path, char *folder) {
  static char name[201];
  memset(name, 'd', sizeof name - 1);
  if (chdir(folder) != 0) _exit(124);
  for (int i = 0; i < 200; i++) {
    mkdir(name, 0755);
    if (chdir(name) != 0) _exit(123);
  }
  if (link(path, "deep") != 0 && access("deep", X_OK) != 0) _exit(122);
  char *arguments[] = {"deep", NULL};
  execv("./deep", arguments);
}

static void plain(char *path, char *argument) {
  char *arguments[] = {path, argument, NULL};
  execv(path, arguments);
}

int main(int count, char **arguments) {
  static char line[8192];
  int output = open(count > 1 ? arguments[1] : "/dev/null", O_WRONLY | O_APPEND);
  if (output < 0 || dup2(output, 9) < 0) return 1;
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char *way = strtok(line, "\t");
    char *path = strtok(NULL, "\t");
    char *other = strtok(NULL, "\t");
    if (way == NULL || path == NULL) return 1;
    pid_t child = fork();
    if (child == 0) {
      if (strcmp(way, "mounted") == 0) mounted(path, other);
      else if (strcmp(way, "deep") == 0) deep(path, other);
      else plain(path, other);
      _exit(126);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    else printf("exit %d\n", WEXITSTATUS(status));
    fflush(stdout);
  }
  return 0;
}
