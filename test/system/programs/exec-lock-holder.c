// Has a child stay within execve(2) for ever, as any user can who may mount FUSE in a user namespace: the kernel closes its
// descriptors, among them one of a FUSE file, and that never answers. From then on everybody waits who follows a link in the
// child's folder in /proc. It ends when this process does, because the server of its file ends with that.
//
// usage: exec-lock-holder DEVICE FOLDER   (a device node of FUSE, an empty folder). Prints "held" when the child is there.
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

/* A file system with one file, whose FLUSH is never answered. */
static void serve(int fd) {
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
    } else if (in->opcode == FUSE_FLUSH) {
      check(write(1, "held\n", 5), "write");
    } else if (in->opcode != FUSE_FORGET && in->opcode != FUSE_INTERRUPT) {
      answer(fd, in->unique, -ENOSYS, NULL, 0);
    }
  }
}

int main(int count, char **args) {
  char text[4300];
  if (count != 3) return 2;
  unsigned user = getuid(), group = getgid();
  check(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
  put("/proc/self/setgroups", "deny");
  snprintf(text, sizeof text, "0 %u 1", user);
  put("/proc/self/uid_map", text);
  snprintf(text, sizeof text, "0 %u 1", group);
  put("/proc/self/gid_map", text);
  int fd = open(args[1], O_RDWR);
  check(fd, args[1]);
  snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
  check(mount("hold", args[2], "fuse", MS_NOSUID | MS_NODEV, text), "mount");
  pid_t parent = getpid();
  int server = fork();
  check(server, "fork");
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) return 0;
    serve(fd);
  }
  close(fd);
  snprintf(text, sizeof text, "%s/page", args[2]);
  int child = fork();
  check(child, "fork");
  if (child == 0) {
    check(open(text, O_RDONLY | O_CLOEXEC), text);
    char *words[] = {"true", NULL};
    execv("/bin/true", words);
    _exit(1);
  }
  pause();
  return 0;
}
