// children COUNT PROGRAM: waits for a byte on standard input, then starts COUNT children one after the other, each of which
// writes a byte to standard output: by itself, or, with a PROGRAM, by executing that. Writes to standard error how many
// were ended by SIGKILL.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char byte;
  if (argc < 2 || read(0, &byte, 1) != 1) return 2;
  alarm(20);
  int killed = 0;
  for (int count = atoi(argv[1]); count > 0; count--) {
    pid_t pid = argc > 2 ? vfork() : fork();
    if (pid == 0) {
      if (argc > 2) execl(argv[2], argv[2], "x", (char *)0);
      else write(1, "x", 1);
      _exit(0);
    }
    int status;
    if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == 9) killed++;
  }
  fprintf(stderr, "%d", killed);
  return 0;
}
