// What the tests have watched: one program, by its first argument. Static, so that it runs in an empty root.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char **arguments;

static void die(const char *what) {
  perror(what);
  _exit(99);
}

// hold: says that it runs, and stays until its input ends.
static int hold(void) {
  char byte;
  if (write(1, "r", 1) != 1) die("write");
  while (read(0, &byte, 1) > 0) {
  }
  return 0;
}

static void *exec_in_thread(void *unused) {
  (void)unused;
  execv(arguments[2], arguments + 2);
  die("execv");
  return NULL;
}

static void *nothing(void *unused) { return unused; }

static void *leave_late(void *unused) {
  (void)unused;
  usleep(30000);
  syscall(SYS_exit, 7);
  return NULL;
}

static int copy_into(const char *from, int to) {
  static char buffer[65536];
  int fd = open(from, O_RDONLY);
  ssize_t n;
  if (fd < 0) die("open");
  while ((n = read(fd, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, n) != n) die("write");
  close(fd);
  return to;
}

int main(int count, char **v) {
  const char *act = count > 1 ? v[1] : "hold";
  pthread_t thread;
  arguments = v;
  if (!strcmp(act, "hold")) return hold();
  // exit CODE
  if (!strcmp(act, "exit")) return atoi(v[2]);
  // abort
  if (!strcmp(act, "abort")) abort();
  // forks COUNT: children that end at once, one after the other
  if (!strcmp(act, "forks")) {
    for (int left = atoi(v[2]); left > 0; left--) {
      pid_t pid = fork();
      if (pid == 0) _exit(0);
      waitpid(pid, NULL, 0);
    }
    return 0;
  }
  // setgid-fork PROGRAM [ARGUMENT...]: a child runs the program as the group that the environment names
  if (!strcmp(act, "setgid-fork")) {
    pid_t pid = fork();
    if (pid == 0) {
      if (setegid(atoi(getenv("GROUP"))) != 0) die("setegid");
      execv(v[2], v + 2);
      _exit(99);
    }
    waitpid(pid, NULL, 0);
    return 0;
  }
  // vfork PROGRAM [ARGUMENT...]: and gives on its exit code
  if (!strcmp(act, "vfork")) {
    int status;
    pid_t pid = vfork();
    if (pid == 0) {
      execv(v[2], v + 2);
      _exit(99);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  }
  // thread-exec PROGRAM [ARGUMENT...]: from another thread than the first
  if (!strcmp(act, "thread-exec")) {
    pthread_create(&thread, NULL, exec_in_thread, NULL);
    for (;;) pause();
  }
  // threads N
  if (!strcmp(act, "threads")) {
    for (int i = 0; i < atoi(v[2]); i++) {
      pthread_create(&thread, NULL, nothing, NULL);
      pthread_join(thread, NULL);
    }
    return 0;
  }
  // leader-leaves: the first thread ends with 5, the last, later, with 7
  if (!strcmp(act, "leader-leaves")) {
    pthread_create(&thread, NULL, leave_late, NULL);
    syscall(SYS_exit, 5);
  }
  // memfd NAME PROGRAM [ARGUMENT...]: runs a copy of PROGRAM from memory
  if (!strcmp(act, "memfd")) {
    fexecve(copy_into(v[3], memfd_create(v[2], MFD_CLOEXEC)), v + 3, environ);
    die("fexecve");
  }
  // removed PROGRAM [ARGUMENT...]: removes PROGRAM, then runs it
  if (!strcmp(act, "removed")) {
    int fd = open(v[2], O_PATH | O_CLOEXEC);
    unlink(v[2]);
    fexecve(fd, v + 2, environ);
    die("fexecve");
  }
  // deep FOLDERS NAME PROGRAM [ARGUMENT...]: runs a copy of PROGRAM so many folders, all called NAME, below here
  if (!strcmp(act, "deep")) {
    for (int i = 0; i < atoi(v[2]); i++)
      if (mkdir(v[3], 0755) || chdir(v[3])) die("mkdir");
    close(copy_into(v[4], open("deep", O_CREAT | O_WRONLY, 0755)));
    execv("./deep", v + 4);
    die("execv");
  }
  // setuid-fork UID: forks as UID, with the real user kept
  if (!strcmp(act, "setuid-fork")) {
    if (syscall(SYS_setresuid, -1, atoi(v[2]), -1)) die("setresuid");
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
    return 0;
  }
  // clone-parent: a child that is a child of its maker's parent
  if (!strcmp(act, "clone-parent")) {
    if (syscall(SYS_clone, 0x8000 /* CLONE_PARENT */ | 17 /* SIGCHLD */, 0, 0, 0, 0) == 0) _exit(0);
    return 0;
  }
  // chroot FOLDER PROGRAM [ARGUMENT...]
  if (!strcmp(act, "chroot")) {
    if (chroot(v[2]) || chdir("/")) die("chroot");
    execv(v[3], v + 3);
    die("execv");
  }
  return 98;
}
