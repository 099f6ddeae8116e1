// Has a child stay within execve(2) for ever, as any user can who may mount FUSE in a user namespace: the kernel closes its
// descriptors, among them one of a FUSE file, and that never answers. From then on everybody waits who follows a link in the
// child's folder in /proc. It ends when this process does, because the server of its file ends with that.
//
// usage: exec-lock-holder DEVICE FOLDER   (a device node of FUSE, an empty folder). Prints "held" when the child is there.
#include "unanswered-file.c"

int main(int count, char **args) {
  char path[4300];
  if (count != 3) return 2;
  mountUnanswered(args[1], args[2], FUSE_FLUSH, "held\n", path, sizeof path);
  int child = fork();
  check(child, "fork");
  if (child == 0) {
    check(open(path, O_RDONLY | O_CLOEXEC), path);
    char *words[] = {"true", NULL};
    execv("/bin/true", words);
    _exit(1);
  }
  pause();
  return 0;
}
