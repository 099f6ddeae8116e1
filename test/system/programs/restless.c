// restless: sets a timer that sends it SIGCONT a hundred times a second, and spins for at most 10 s.
#include <signal.h>
#include <time.h>
#include <unistd.h>

// A timer whose signal nobody handles ends (Linux 6.13).
static void handled(int signal) { (void)signal; }

int main(void) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
  struct itimerspec spec = {{0, 10000000}, {0, 10000000}};
  timer_t timer;
  alarm(10);
  signal(SIGCONT, handled);
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &spec, 0) < 0) return 2;
  for (;;) {
  }
}
