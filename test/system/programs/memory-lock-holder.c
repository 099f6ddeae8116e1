// Holds the lock on its own memory for ever, as any user who may mount FUSE in a user namespace can: one thread reads a
// page of a FUSE file through /proc/self/mem, and its answer never comes; another waits in mmap(2). From then on
// everybody who wants that lock waits, among them whoever reads /proc/PID/cmdline.
//
// usage: memory-lock-holder DEVICE FOLDER   (a device node of FUSE, an empty folder). Prints "held" when it is.
#include "unanswered-file.c"
#include <pthread.h>
#include <sys/mman.h>

static char *page;

static void *readPage(void *unused) {
  usleep(50000);
  int memory = open("/proc/self/mem", O_RDONLY);
  char byte;
  check(memory, "open /proc/self/mem");
  pread(memory, &byte, 1, (off_t)(uintptr_t)page);
  return unused;
}

static void *mapMore(void *unused) {
  usleep(100000);
  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return unused;
}

int main(int count, char **args) {
  char path[4300];
  pthread_t threads[2];
  if (count != 3) return 2;
  mountUnanswered(args[1], args[2], FUSE_READ, "", path, sizeof path);
  int file = open(path, O_RDONLY);
  check(file, path);
  page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
  if (page == MAP_FAILED) check(-1, "mmap");
  /* Both exist before the lock is held, because making a thread takes it. */
  pthread_create(&threads[0], NULL, readPage, NULL);
  pthread_create(&threads[1], NULL, mapMore, NULL);
  usleep(150000);
  check(write(1, "held\n", 5), "write");
  pause();
  return 0;
}
