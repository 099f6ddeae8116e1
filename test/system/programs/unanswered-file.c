// A FUSE file that answers one kind of request never, in a user namespace of this process's own, as any user may mount one.
// Included by the programs that hold locks of the kernel by it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

static void check(int result, const char *call) {
  if (result >= 0) return;
  perror(call);
  _exit(1);
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  check(fd, path);
  check(write(fd, text, strlen(text)), path);
  close(fd);
}

static void answer(int fd, uint64_t unique, int error, const void *body, size_t size) {
  char packet[512];
  struct fuse_out_header header = {.len = sizeof header + size, .error = error, .unique = unique};
  memcpy(packet, &header, sizeof header);
  memcpy(packet + sizeof header, body, size);
  check(write(fd, packet, header.len), "write to FUSE");
}

/* A file system with one file of one page. `word` is printed when somebody asks for what is never answered. */
static void serve(int fd, unsigned unanswered, const char *word) {
  static char request[1 << 17];
  struct fuse_attr page = {.ino = 2, .size = 4096, .blocks = 8, .mode = S_IFREG | 0755, .nlink = 1, .blksize = 4096};
  struct fuse_attr root = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 1, .blksize = 4096};
  for (;;) {
    ssize_t got = read(fd, request, sizeof request);
    if (got < 0 && errno == EINTR) continue;
    check(got, "read from FUSE");
    const struct fuse_in_header *in = (const void *)request;
    if (in->opcode == FUSE_INIT) {
      struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 4096};
      answer(fd, in->unique, 0, &out, sizeof out);
    } else if (in->opcode == FUSE_LOOKUP) {
      struct fuse_entry_out out = {.nodeid = 2, .attr_valid = 1000, .entry_valid = 1000, .attr = page};
      answer(fd, in->unique, 0, &out, sizeof out);
    } else if (in->opcode == FUSE_GETATTR) {
      struct fuse_attr_out out = {.attr_valid = 1000, .attr = in->nodeid == 1 ? root : page};
      answer(fd, in->unique, 0, &out, sizeof out);
    } else if (in->opcode == FUSE_OPEN) {
      struct fuse_open_out out = {.fh = 1};
      answer(fd, in->unique, 0, &out, sizeof out);
    } else if (in->opcode == unanswered) {
      check(write(1, word, strlen(word)), "write");
    } else if (in->opcode != FUSE_FORGET && in->opcode != FUSE_INTERRUPT) {
      answer(fd, in->unique, -ENOSYS, NULL, 0);
    }
  }
}

/*
 * Mounts the file system on `folder` and writes its file's path to `path`, of `size` bytes. Requests of the kind `unanswered`
 * are not answered; each prints `word`. Its server is a child, and ends with this process.
 */
static void mountUnanswered(const char *device, const char *folder, unsigned unanswered, const char *word, char *path,
                            size_t size) {
  char text[4300];
  unsigned user = getuid(), group = getgid();
  check(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
  put("/proc/self/setgroups", "deny");
  snprintf(text, sizeof text, "0 %u 1", user);
  put("/proc/self/uid_map", text);
  snprintf(text, sizeof text, "0 %u 1", group);
  put("/proc/self/gid_map", text);
  int fd = open(device, O_RDWR);
  check(fd, device);
  snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
  check(mount("hold", folder, "fuse", MS_NOSUID | MS_NODEV, text), "mount");
  pid_t parent = getpid();
  int server = fork();
  check(server, "fork");
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    serve(fd, unanswered, word);
  }
  close(fd);
  snprintf(path, size, "%s/page", folder);
}
