// forkbomb: forks as fast as it can, and so does every child. Bounded by RLIMIT_NPROC, and by an alarm of 20 seconds.
#include <unistd.h>

int main(void) {
  alarm(20);
  for (;;)
    // Not inherited by fork(2).
    if (fork() == 0) alarm(20);
}
