// packets PORT: counts the TCP packets on the loopback interface from or to the port, whatever became of them. Prints
// "ready" when it captures, and the count when its standard input is closed.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **v) {
  if (argc != 2) return 2;
  int port = atoi(v[1]), count = 0;
  int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
  struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = if_nametoindex("lo")};
  if (fd < 0 || bind(fd, (struct sockaddr *)&lo, sizeof lo) != 0) {
    perror("packet socket");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  struct pollfd wait[] = {{fd, POLLIN, 0}, {0, POLLIN, 0}};
  unsigned char packet[256];
  // What was captured before the end of standard input is counted before it is looked at.
  while (poll(wait, 2, -1) > 0) {
    if (wait[0].revents != 0) {
      ssize_t length = recv(fd, packet, sizeof packet, 0);
      struct iphdr *ip = (struct iphdr *)packet;
      if (length < (ssize_t)(sizeof *ip + sizeof(struct tcphdr)) || ip->protocol != IPPROTO_TCP) continue;
      struct tcphdr *tcp = (struct tcphdr *)(packet + ip->ihl * 4);
      if (ntohs(tcp->source) == port || ntohs(tcp->dest) == port) count += 1;
    } else if (wait[1].revents != 0)
      break;
  }
  printf("%d\n", count);
  return 0;
}
