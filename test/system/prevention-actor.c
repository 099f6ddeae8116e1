// A program that starts others in the ways that there are. The first argument is a file to which the started ones append
// through descriptor 9, which it opens. Each line of standard input is a command:
//   WAY COUNT PATH [ARGUMENT]   starts PATH so often; answers with how many ended by SIGKILL, ended otherwise, and failed
// It answers with its pid first. With the further arguments NODE FOLDER PROGRAM it first mounts a file system of its own, see
// forged-file.c, and its answer ends with the device of that.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "forged-file.c"

extern char **environ;

static char *path;
static char *arguments[4];
static int killed, ended, failed;

static void count(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) killed++;
  else if (WIFEXITED(status) && WEXITSTATUS(status) == 77) failed++;
  else ended++;
}

static void take(pid_t pid) {
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) failed++;
  else count(status);
}

static void execute(void) { execve(path, arguments, environ); }

static void by_descriptor(int flags) {
  int fd = open(path, flags);
  syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
}

static void execveat_(void) { by_descriptor(O_RDONLY | O_CLOEXEC); }
static void o_path(void) { by_descriptor(O_PATH | O_CLOEXEC); }
static void fexecve_(void) { fexecve(open(path, O_RDONLY), arguments, environ); }

static int memfd_of(const char *file) {
  static char bytes[1 << 16];
  int from = open(file, O_RDONLY), to = memfd_create("x", MFD_CLOEXEC);
  ssize_t length;
  while ((length = read(from, bytes, sizeof bytes)) > 0)
    if (write(to, bytes, length) != length) return -1;
  close(from);
  return to;
}

static void memfd(void) { syscall(SYS_execveat, memfd_of(path), "", arguments, environ, AT_EMPTY_PATH); }

static void deleted(void) {
  char copy[4096];
  snprintf(copy, sizeof copy, "%s.%d", path, getpid());
  int from = memfd_of(path), to = open(copy, O_WRONLY | O_CREAT, 0755);
  struct stat info;
  fstat(from, &info);
  void *bytes = mmap(NULL, info.st_size, PROT_READ, MAP_PRIVATE, from, 0);
  if (write(to, bytes, info.st_size) != info.st_size) return;
  close(to);
  int fd = open(copy, O_RDONLY);
  unlink(copy);
  syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
}

static void *in_thread(void *unused) {
  execute();
  return unused;
}

static void thread(void) {
  pthread_t id;
  pthread_create(&id, NULL, in_thread, NULL);
  pthread_join(id, NULL);
}

static void *after_leader(void *unused) {
  // Until the first thread has ended, the group has two that live.
  char status[64], line[256];
  snprintf(status, sizeof status, "/proc/%d/stat", getpid());
  do {
    int fd = open(status, O_RDONLY);
    ssize_t length = read(fd, line, sizeof line - 1);
    close(fd);
    line[length > 0 ? length : 0] = 0;
  } while (strstr(line, ") Z ") == NULL);
  execute();
  _exit(77);
  return unused;
}

/** By the thread that is left when the first one of the process has ended. */
static void leaderless(void) {
  pthread_t id;
  pthread_create(&id, NULL, after_leader, NULL);
  syscall(SYS_exit, 0);
}

/** As the first process of a pid namespace of its own, which ignores signals of its own. */
static void first(void) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    execute();
    _exit(77);
  }
  int status;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) raise(WTERMSIG(status));
  _exit(WEXITSTATUS(status));
}

static void ptraced(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  execute();
}

/** A new mount namespace of a user of its own. */
static void user_mounts(void) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) execute();
}

/** As before, by a descriptor of the host's file, which is on none of the user's own mounts. */
static void descriptor_user_mounts(void) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
    syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
}

/** Mounts of its own, of which the host sees nothing. Leaves the folder of the program in `folder`. */
static char folder[4096];
static int own_mounts(void) {
  strcpy(folder, path);
  *strrchr(folder, '/') = 0;
  return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/** As a service with a write-protected /usr and a /tmp of its own. */
static void private_service(void) {
  if (!own_mounts() || mount("/usr", "/usr", NULL, MS_BIND, NULL) != 0) return;
  if (mount(folder, folder, NULL, MS_BIND, NULL) != 0) return;
  if (mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0) execute();
}

/** As systemd starts a service: with a copy of all mounts, which takes the place of the root. */
static void pivoted(void) {
  if (!own_mounts() || mount("/", "/mnt", NULL, MS_BIND | MS_REC, NULL) != 0 || chdir("/mnt") != 0) return;
  if (syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0) execute();
}

/** With a root of its own. */
static void container(void) {
  if (!own_mounts() || mount(folder, folder, NULL, MS_BIND | MS_REC, NULL) != 0 || chroot(folder) != 0) return;
  path = strrchr(path, '/');
  execute();
}

/** With another file at the path of the argument. */
static void bound(void) {
  if (!own_mounts() || mount(path, arguments[1], NULL, MS_BIND, NULL) != 0) return;
  path = arguments[1];
  execute();
}

/** With the host's root in a folder of a root of its own. */
static void below_root(void) {
  static char below[8192];
  if (!own_mounts() || mount("tmpfs", "/mnt", "tmpfs", 0, NULL) != 0 || mkdir("/mnt/host", 0755) != 0) return;
  if (mount("/", "/mnt/host", NULL, MS_BIND | MS_REC, NULL) != 0 || chroot("/mnt") != 0) return;
  snprintf(below, sizeof below, "/host%s", path);
  path = below;
  execute();
}

/** With a root of its own, which is the host's, below another one. */
static void same_root(void) {
  if (!own_mounts() || mount("tmpfs", "/mnt", "tmpfs", 0, NULL) != 0 || mkdir("/mnt/host", 0755) != 0) return;
  if (mount("/", "/mnt/host", NULL, MS_BIND | MS_REC, NULL) == 0 && chroot("/mnt/host") == 0) execute();
}

/** Forks once more, as a daemon does. */
static void grandchild(void) {
  pid_t pid = fork();
  if (pid == 0) {
    execute();
    _exit(77);
  }
  int status;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) raise(WTERMSIG(status));
  _exit(WEXITSTATUS(status));
}

/** Runs itself, which runs the program: the first of two that follow one another. */
static char *self;
static void twice(void) {
  char *both[] = {self, "execute", path, NULL};
  execve(self, both, environ);
}

struct way {
  const char *name;
  void (*go)(void);
};

static const struct way ways[] = {
    {"execve", execute},     {"execveat", execveat_}, {"fexecve", fexecve_},       {"opath", o_path},
    {"memfd", memfd},        {"deleted", deleted},    {"thread", thread},          {"ptraced", ptraced},
    {"usermounts", user_mounts}, {"container", container}, {"grandchild", grandchild}, {"twice", twice},
    {"private", private_service}, {"bound", bound},       {"belowroot", below_root},     {"sameroot", same_root},
    {"pivoted", pivoted},
    {"usermounts-by-descriptor", descriptor_user_mounts}, {"leaderless", leaderless}, {"first", first},
};

static void by_fork(void (*go)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    go();
    _exit(77);
  }
  int status;
  if (go == ptraced)
    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) ptrace(PTRACE_CONT, pid, 0, 0);
  else if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    failed++;
    return;
  }
  count(status);
}

static void by_vfork(void) {
  pid_t pid = vfork();
  if (pid == 0) {
    execve(path, arguments, environ);
    _exit(77);
  }
  take(pid);
}

static void by_spawn(void) {
  pid_t pid;
  if (posix_spawn(&pid, path, NULL, NULL, arguments, environ) != 0) failed++;
  else take(pid);
}

/** A child makes a sibling of itself. */
static void by_sibling(void) {
  int pipes[2];
  if (pipe(pipes) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    struct clone_args args = {.flags = CLONE_PARENT};
    pid_t sibling = syscall(SYS_clone3, &args, sizeof args);
    if (sibling == 0) {
      execute();
      _exit(77);
    }
    if (write(pipes[1], &sibling, sizeof sibling) < 0) _exit(1);
    _exit(0);
  }
  pid_t sibling = -1;
  if (read(pipes[0], &sibling, sizeof sibling) < 0) sibling = -1;
  close(pipes[0]);
  close(pipes[1]);
  waitpid(pid, NULL, 0);
  take(sibling);
}

/** A child that stays until the actor ends. */
static void held(void) {
  pid_t parent = getpid();
  if (fork() != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (getppid() == parent) pause();
  _exit(0);
}

/** A process and no program. */
static void by_itself(void) {
  pid_t pid = vfork();
  if (pid == 0) _exit(0);
  take(pid);
}

static void start(const char *way) {
  if (strcmp(way, "process") == 0) return by_itself();
  if (strcmp(way, "held") == 0) return held();
  if (strcmp(way, "vfork") == 0) return by_vfork();
  if (strcmp(way, "spawn") == 0) return by_spawn();
  if (strcmp(way, "sibling") == 0) return by_sibling();
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
    if (strcmp(way, ways[i].name) == 0) return by_fork(ways[i].go);
  failed++;
}

int main(int argc, char **argv) {
  self = argv[0];
  if (argc == 3 && strcmp(argv[1], "execute") == 0) {
    char *alone[] = {argv[2], NULL};
    execve(argv[2], alone, environ);
    return 77;
  }
  int fd = open(argv[1], O_WRONLY | O_APPEND);
  if (fd != 9) {
    dup2(fd, 9);
    close(fd);
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  dev_t device = argc == 5 ? mount_forged(argv[2], argv[3], argv[4]) : 0;
  printf("%d 0 %llu\n", getpid(), (unsigned long long)device);
  static char line[8192], way[64], file[4096], argument[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int times = 0;
    int fields = sscanf(line, "%63s %d %4095s %4095s", way, &times, file, argument);
    if (fields < 3) break;
    path = file;
    arguments[0] = file;
    arguments[1] = fields > 3 ? argument : NULL;
    arguments[2] = NULL;
    killed = ended = failed = 0;
    if (strcmp(way, "self") == 0) execute();
    else
      for (int i = 0; i < times; i++) start(way);
    printf("%d %d %d\n", killed, ended, failed);
  }
  return 0;
}
