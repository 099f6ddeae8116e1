// Another program at a hook of a control group: attaches one that allows every connect(2), without a link, and with the
// flag that is given (0: exclusively; 2: BPF_F_ALLOW_MULTI), until its standard input ends.
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attributes) {
  return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  struct bpf_insn allow[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {
      .prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
      .expected_attach_type = BPF_CGROUP_INET4_CONNECT,
      .insns = (unsigned long)allow,
      .insn_cnt = 2,
      .license = (unsigned long)"Dual MIT/GPL",
      .prog_name = "somebody_else",
  };
  int program = bpf(BPF_PROG_LOAD, &load);
  int cgroup = open(arguments[1], O_RDONLY);
  union bpf_attr attach = {
      .target_fd = cgroup,
      .attach_bpf_fd = program,
      .attach_type = BPF_CGROUP_INET4_CONNECT,
      .attach_flags = atoi(arguments[2]),
  };
  if (program < 0 || cgroup < 0 || bpf(BPF_PROG_ATTACH, &attach) < 0) {
    perror("cgroup-holder");
    return 1;
  }
  puts("0 0");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  attach.attach_flags = 0;
  return bpf(BPF_PROG_DETACH, &attach) == 0 ? 0 : 1;
}
