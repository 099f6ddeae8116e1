// A FUSE file system of a user's own, with one file: the numbers and times of it are what the caller wants. Included by
// prevention-actor.c.
#include <linux/fuse.h>
#include <sys/mount.h>

enum { FORGED_INODE = 4711, FORGED_GENERATION = 42, FORGED_SECONDS = 1000000000, FORGED_NANOSECONDS = 123456789 };

static void reply(int fd, const struct fuse_in_header *request, int error, const void *data, size_t size) {
  static char out[sizeof(struct fuse_out_header) + (1 << 17)];
  struct fuse_out_header head = {.len = sizeof head + size, .error = -error, .unique = request->unique};
  memcpy(out, &head, sizeof head);
  if (size > 0) memcpy(out + sizeof head, data, size);
  if (write(fd, out, head.len) < 0) _exit(1);
}

static struct fuse_attr attributes_of(uint64_t node, size_t size) {
  struct fuse_attr attr = {.ino = node, .mode = S_IFDIR | 0755, .nlink = 2, .blksize = 4096};
  if (node != 1) {
    attr.ino = FORGED_INODE;
    attr.size = size;
    attr.mode = S_IFREG | 0755;
    attr.nlink = 1;
    attr.ctime = FORGED_SECONDS;
    attr.ctimensec = FORGED_NANOSECONDS;
  }
  return attr;
}

/** Answers the kernel until the mount is gone. */
static void serve(int fd, const char *program) {
  static char file[1 << 16], request[1 << 18];
  int from = open(program, O_RDONLY);
  size_t size = read(from, file, sizeof file);
  ssize_t length;
  while ((length = read(fd, request, sizeof request)) > 0) {
    const struct fuse_in_header *head = (void *)request;
    const void *body = request + sizeof *head;
    switch (head->opcode) {
    case FUSE_INIT: {
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
      reply(fd, head, 0, &out, sizeof out);
      break;
    }
    case FUSE_LOOKUP: {
      struct fuse_entry_out out = {.nodeid = 2, .generation = FORGED_GENERATION, .entry_valid = 1000, .attr_valid = 1000};
      out.attr = attributes_of(2, size);
      reply(fd, head, 0, &out, sizeof out);
      break;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out out = {.attr_valid = 1000, .attr = attributes_of(head->nodeid, size)};
      reply(fd, head, 0, &out, sizeof out);
      break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      struct fuse_open_out out = {.fh = 0};
      reply(fd, head, 0, &out, sizeof out);
      break;
    }
    case FUSE_READ: {
      const struct fuse_read_in *in = body;
      size_t at = in->offset < size ? in->offset : size;
      reply(fd, head, 0, file + at, in->size < size - at ? in->size : size - at);
      break;
    }
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      break;
    case FUSE_RELEASE:
    case FUSE_FLUSH:
      reply(fd, head, 0, NULL, 0);
      break;
    default:
      reply(fd, head, ENOSYS, NULL, 0);
    }
  }
  _exit(0);
}

static void write_file(const char *name, const char *text) {
  int fd = open(name, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) perror(name);
  close(fd);
}

/** Mounts it at `folder` in a namespace of the caller's own; `device` is a node of /dev/fuse. Returns the st_dev of its file. */
static dev_t mount_forged(const char *device, const char *folder, const char *program) {
  char text[256];
  int user = getuid(), group = getgid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) perror("unshare");
  snprintf(text, sizeof text, "0 %d 1", user);
  write_file("/proc/self/uid_map", text);
  write_file("/proc/self/setgroups", "deny");
  snprintf(text, sizeof text, "0 %d 1", group);
  write_file("/proc/self/gid_map", text);
  int fd = open(device, O_RDWR);
  if (fd < 0) perror(device);
  snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
  if (mount("forged", folder, "fuse", MS_NOSUID | MS_NODEV, text) != 0) perror("mount");
  if (fork() == 0) serve(fd, program);
  close(fd);
  struct stat info;
  snprintf(text, sizeof text, "%s/file", folder);
  if (stat(text, &info) != 0) perror(text);
  return info.st_dev;
}
