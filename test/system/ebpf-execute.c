// execute PROGRAM [VARIABLE]...: becomes PROGRAM, without further arguments, with these strings as its environment, in
// this order and whatever they are: env(1) sets each variable once only. Without PROGRAM it ends. To be linked
// statically: the dynamic loader refuses to start programs with some of these variables.
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  execve(argv[1], (char *[]){argv[1], 0}, argv + 2);
  return 1;
}
