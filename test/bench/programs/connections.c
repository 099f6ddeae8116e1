// COUNT connections to ADDRESS, port 9, where nobody listens; prints the microseconds that each took. With RATE, so many of
// them a second.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  int connections = atoi(arguments[1]);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  inet_pton(AF_INET, arguments[2], &to.sin_addr);
  double pause = count > 3 ? 1e6 / atoi(arguments[3]) : 0;
  double begin = now();
  for (int i = 0; i < connections; i++) {
    double ahead = begin + i * pause - now();
    if (pause > 0 && ahead > 100) usleep(ahead);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&to, sizeof to);
    close(fd);
  }
  printf("%.3f\n", (now() - begin) / connections);
  return 0;
}
