// storm KIND SECONDS PROCESSES FOLDER: so many processes start a program of theirs again and again, each under another
// name. Prints how often.
//   same        always the same name
//   random      12 random characters
//   words       words that a person might have chosen
//   deep-N      N random directories deep, of which the topmost gets another name each time
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const words[] = {"server", "build", "worker", "sync",  "check", "report", "client", "cache",
                                    "mail",   "proxy", "batch",  "index", "queue", "stream", "backup", "agent"};

static void die(const char *what) {
  perror(what);
  _exit(99);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void random_name(char *into, int length) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  for (int i = 0; i < length; i++) into[i] = letters[random() % 36];
  into[length] = 0;
}

static void new_name(const char *kind, char *into) {
  char end[8];
  if (!strcmp(kind, "words")) {
    random_name(end, 3);
    sprintf(into, "%s-%s-%s", words[random() % 16], words[random() % 16], end);
  } else {
    random_name(into, 12);
  }
}

static void copy_self(const char *to) {
  static char buffer[65536];
  int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_CREAT | O_WRONLY | O_EXCL, 0755);
  ssize_t n;
  if (in < 0 || out < 0) die(to);
  while ((n = read(in, buffer, sizeof buffer)) > 0)
    if (write(out, buffer, n) != n) die("write");
  close(in);
  close(out);
}

static void start(const char *path) {
  pid_t pid = vfork();
  if (pid == 0) {
    execl(path, path, "leave", (char *)NULL);
    _exit(99);
  }
  if (pid > 0) waitpid(pid, NULL, 0);
}

static long storm(const char *kind, double end, const char *folder) {
  char name[64], next[64], deep[8192] = "", path[8300];
  int depth = strncmp(kind, "deep-", 5) ? 0 : atoi(kind + 5);
  long count = 0;
  new_name(kind, name);
  if (chdir(folder) != 0) die(folder);
  if (depth > 0 && mkdir(name, 0755) != 0) die(name);
  if (depth > 0 && chdir(name) != 0) die(name);
  for (int i = 1; i < depth; i++) {
    char each[16];
    random_name(each, 10);
    if (mkdir(each, 0755) != 0 || chdir(each) != 0) die(each);
    sprintf(deep + strlen(deep), "/%s", each);
  }
  if (depth > 0) copy_self("program");
  if (chdir(folder) != 0) die(folder);
  if (depth == 0) copy_self(name);
  while (now() < end) {
    if (strcmp(kind, "same")) {
      new_name(kind, next);
      if (rename(name, next) != 0) die("rename");
      strcpy(name, next);
    }
    // Relative: a path of 250 elements may be longer than execve(2) takes.
    snprintf(path, sizeof path, depth > 0 ? "%s%s/program" : "%s%s", name, deep);
    start(path);
    count++;
  }
  return count;
}

int main(int argc, char **v) {
  if (argc == 2 && !strcmp(v[1], "leave")) return 0;
  if (argc != 5) die("usage");
  double end = now() + atof(v[2]);
  int processes = atoi(v[3]);
  long *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), all = 0;
  for (int i = 0; i < processes; i++) {
    if (fork() == 0) {
      srandom(getpid());
      counts[i] = storm(v[1], end, v[4]);
      _exit(0);
    }
  }
  while (wait(NULL) > 0 || errno != ECHILD) {
  }
  for (int i = 0; i < processes; i++) all += counts[i];
  printf("%ld\n", all);
  return 0;
}
