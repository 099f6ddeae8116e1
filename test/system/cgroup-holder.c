// Another program at a hook of a control group: attaches one without a link, and with the flag that is given (0:
// exclusively; 1: BPF_F_ALLOW_OVERRIDE; 2: BPF_F_ALLOW_MULTI), until its standard input ends. It allows every connect(2); or,
// if the third argument is "firewall", it drops all packets to 127.9.9.9, as systemd's IPAddressDeny= does at the same hook.
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
  // The destination lies 16 bytes into the header of an IPv4 packet.
  struct bpf_insn firewall[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 16},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = 4},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_load_bytes},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 10, .off = -8},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .off = 1, .imm = 0x0909097f},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  int isFirewall = count > 3 && !strcmp(arguments[3], "firewall");
  int hook = isFirewall ? BPF_CGROUP_INET_EGRESS : BPF_CGROUP_INET4_CONNECT;
  union bpf_attr load = {
      .prog_type = isFirewall ? BPF_PROG_TYPE_CGROUP_SKB : BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
      .expected_attach_type = hook,
      .insns = (unsigned long)(isFirewall ? firewall : allow),
      .insn_cnt = isFirewall ? sizeof firewall / sizeof *firewall : 2,
      .license = (unsigned long)"Dual MIT/GPL",
      .prog_name = "somebody_else",
  };
  int program = bpf(BPF_PROG_LOAD, &load);
  int cgroup = open(arguments[1], O_RDONLY);
  union bpf_attr attach = {
      .target_fd = cgroup,
      .attach_bpf_fd = program,
      .attach_type = hook,
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
