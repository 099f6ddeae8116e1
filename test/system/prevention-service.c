// A service that starts what it is told: a line on standard input is a path and its arguments, with tabs between them; the
// answer is how the program ended. Descriptor 9 of each program appends to the file that the first argument names.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
  static char line[4096];
  int output = open(count > 1 ? arguments[1] : "/dev/null", O_WRONLY | O_APPEND);
  if (output < 0 || dup2(output, 9) < 0) return 1;
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *parts[16];
    int used = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *part = strtok(line, "\t"); part != NULL && used < 15; part = strtok(NULL, "\t")) parts[used++] = part;
    parts[used] = NULL;
    pid_t child = fork();
    if (child == 0) {
      execv(parts[0], parts);
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
