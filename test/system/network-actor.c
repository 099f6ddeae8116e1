// Uses the network as it is told, so that a test can see what a sensor makes of it. Each line of standard input is a
// command, and each answer a line "PID ERRNO": the process that did it, and 0 or why it failed.
//
//   tcp|nonblock|fastopen|deferred|mptcp|uring ADDRESS PORT   connect(2) in several ways
//   bound LOCAL COMMAND            the same with a socket that is bound to an address, or (dev:NAME) to a device
//   udp|udpconnect ADDRESS PORT    a datagram without a connection; connect(2) of a UDP socket
//   via ADDRESS COMMAND            the same by IPv6 with a source route, through another address first
//   udpcontrol ADDRESS PORT        a datagram of a connected UDP socket, with control data and no address
//   bindrace ADDRESS PORT          bind(2) to it while another thread binds the same socket to port 0, again and again. The
//                                  answer is 0 if it succeeded once in 50,000 times
//   listen|bindudp ADDRESS PORT    listen(2) after bind(2), bind(2) of a UDP socket; the socket stays open
//   listentwice|bindudptwice ADDRESS PORT   the same after a bind(2) that failed, to a foreign address and port 0
//   autolisten                     listen(2) without bind(2)
//   close                          closes every socket that was left open
//   thread|fork|exec COMMAND       in another thread, another process, or another program of another process
//   as UID COMMAND                 in another process, which is of that user
//   late ADDRESS PORT              the socket is made by the parent, connect(2) is called by its child
//   share ADDRESS PORT             two datagrams of the parent and then two of its child, by the same socket
//   brood COUNT ADDRESS PORT       COUNT children, some at a time; each connects some milliseconds after its fork. The answer
//                                  is how many of them were not refused with EPERM
//   crowd COUNT                    COUNT children that live until the next command, which may be empty
//   flood COUNT                    COUNT datagrams, each to an address of its own from 127.64 on
//   storm FIRST COUNT PROCESSES    COUNT refused connections, each to an address of its own from 127.FIRST on, of which
//                                  each process makes 10 and ends at once; PROCESSES run at a time
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

static int kept[64], keptCount;
static const char *self;

struct target {
  struct sockaddr_storage address;
  socklen_t length;
  int family;
};

static struct target parse(const char *text, int port) {
  struct target to = {0};
  if (strchr(text, ':')) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to.address;
    in6->sin6_family = to.family = AF_INET6;
    in6->sin6_port = htons(port);
    inet_pton(AF_INET6, text, &in6->sin6_addr);
    to.length = sizeof *in6;
  } else {
    struct sockaddr_in *in = (struct sockaddr_in *)&to.address;
    in->sin_family = to.family = AF_INET;
    in->sin_port = htons(port);
    inet_pton(AF_INET, text, &in->sin_addr);
    to.length = sizeof *in;
  }
  return to;
}

static int connectTo(int fd, struct target *to) {
  return connect(fd, (struct sockaddr *)&to->address, to->length) == 0 ? 0 : errno;
}

/* connect(2) by an io_uring without a library: one request, one answer. */
static int uringConnect(int fd, struct target *to) {
  struct io_uring_params params = {0};
  int ring = syscall(SYS_io_uring_setup, 1, &params);
  if (ring < 0) return errno;
  size_t size = params.sq_off.array + params.sq_entries * 4;
  size_t answers = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  if (answers > size) size = answers;
  char *rings = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entry =
      mmap(0, sizeof *entry * params.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  memset(entry, 0, sizeof *entry);
  entry->opcode = IORING_OP_CONNECT;
  entry->fd = fd;
  entry->addr = (unsigned long)&to->address;
  entry->off = to->length;
  *(unsigned *)(rings + params.sq_off.array) = 0;
  __atomic_store_n((unsigned *)(rings + params.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0) return errno;
  struct io_uring_cqe *answer = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
  int result = -answer->res;
  close(ring);
  return result;
}

static int late(const char *address, int port) {
  struct target to = parse(address, port);
  int fd = socket(to.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  pid_t child = fork();
  if (child == 0) {
    printf("%d %d\n", getpid(), connectTo(fd, &to));
    fflush(stdout);
    _exit(0);
  }
  close(fd);
  waitpid(child, 0, 0);
  return -1;
}

static int share(const char *address, int port) {
  struct target to = parse(address, port);
  int fd = socket(to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (int i = 0; i < 2; i++) sendto(fd, "x", 1, 0, (struct sockaddr *)&to.address, to.length);
  if (fork() == 0) {
    for (int i = 0; i < 2; i++) sendto(fd, "x", 1, 0, (struct sockaddr *)&to.address, to.length);
    printf("%d 0\n", getpid());
    fflush(stdout);
    _exit(0);
  }
  close(fd);
  wait(0);
  return -1;
}

#define ROUNDS 50000
/* bind(2) of one socket by two threads: one names the port, the other leaves it to the kernel. */
static struct {
  struct target named, random;
  int fd;
  unsigned round, done;
} race;

/* Passes some time, another in each round: from nothing to about a microsecond. */
static void dawdle(unsigned round) {
  for (volatile unsigned i = 0; i < round % 512; i++);
}

static void *bindRandom(void *unused) {
  for (unsigned round = 1; round <= ROUNDS; round++) {
    while (__atomic_load_n(&race.round, __ATOMIC_ACQUIRE) != round) sched_yield();
    if (round & 1) dawdle(round / 2);
    bind(race.fd, (struct sockaddr *)&race.random.address, race.random.length);
    __atomic_store_n(&race.done, round, __ATOMIC_RELEASE);
  }
  return unused;
}

static int bindRace(const char *address, int port) {
  int result = EPERM;
  race.named = parse(address, port);
  race.random = parse(address, 0);
  pthread_t thread;
  pthread_create(&thread, 0, bindRandom, 0);
  for (unsigned round = 1; round <= ROUNDS && result != 0; round++) {
    race.fd = socket(race.named.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    __atomic_store_n(&race.round, round, __ATOMIC_RELEASE);
    if (!(round & 1)) dawdle(round / 2);
    if (bind(race.fd, (struct sockaddr *)&race.named.address, race.named.length) == 0) result = 0;
    while (__atomic_load_n(&race.done, __ATOMIC_ACQUIRE) != round) sched_yield();
    close(race.fd);
  }
  return result;
}

static int udpControl(const char *address, int port) {
  struct target to = parse(address, port);
  int fd = socket(to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = connectTo(fd, &to), tos = 0;
  char control[CMSG_SPACE(sizeof tos)] = {0};
  struct iovec data = {"x", 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = to.family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  header->cmsg_type = to.family == AF_INET ? IP_TOS : IPV6_TCLASS;
  header->cmsg_len = CMSG_LEN(sizeof tos);
  memcpy(CMSG_DATA(header), &tos, sizeof tos);
  if (result == 0 && sendmsg(fd, &message, 0) < 0) result = errno;
  close(fd);
  return result;
}

/* What sockets are bound to before they are used; empty: nothing. */
static char bound[64];

/* A routing header of type 4 (RFC 8754) with this address and then the peer's; empty: none. */
static char via[64];

static int routeBefore(int fd) {
  unsigned char header[40] = {0, 4, 4, 1, 1};
  inet_pton(AF_INET6, via, header + 24);
  return setsockopt(fd, IPPROTO_IPV6, 57 /* IPV6_RTHDR */, header, sizeof header) == 0 ? 0 : errno;
}

static int bindBefore(int fd) {
  if (!strncmp(bound, "dev:", 4))
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bound + 4, strlen(bound + 4)) == 0 ? 0 : errno;
  struct target local = parse(bound, 0);
  return bind(fd, (struct sockaddr *)&local.address, local.length) == 0 ? 0 : errno;
}

static int use(const char *how, const char *address, int port) {
  struct target to = parse(address, port);
  int isUdp = !strncmp(how, "udp", 3) || !strncmp(how, "bindudp", 7);
  int protocol = !strcmp(how, "mptcp") ? IPPROTO_MPTCP : 0;
  int fd = socket(to.family, (isUdp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, protocol);
  if (fd < 0) return errno;
  int result = 0, one = 1, zero = 0;
  if (to.family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, 26 /* IPV6_V6ONLY */, &zero, sizeof zero);
  if (*via && (result = routeBefore(fd)) != 0) return result;
  if (*bound && (result = bindBefore(fd)) != 0) return result;
  if (!strcmp(how, "udp")) {
    if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to.address, to.length) < 0) result = errno;
    kept[keptCount++] = fd;
    return result;
  }
  if (!strncmp(how, "listen", 6) || !strncmp(how, "bindudp", 7)) {
    if (strstr(how, "twice")) {
      struct target foreign = parse(to.family == AF_INET6 ? "2001:db8::1" : "192.0.2.1", 0);
      if (bind(fd, (struct sockaddr *)&foreign.address, foreign.length) == 0) return EISCONN;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&to.address, to.length) < 0) return errno;
    if (!isUdp && listen(fd, 128) < 0) return errno;
    kept[keptCount++] = fd;
    return 0;
  }
  if (!strcmp(how, "nonblock")) {
    fcntl(fd, F_SETFL, O_NONBLOCK);
    result = connectTo(fd, &to);
    if (result == EINPROGRESS) {
      struct pollfd wait = {fd, POLLOUT, 0};
      poll(&wait, 1, 2000);
      socklen_t length = sizeof result;
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length);
      connectTo(fd, &to); /* as some programs ask whether it is connected */
    }
  } else if (!strcmp(how, "fastopen")) {
    if (sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to.address, to.length) < 0) result = errno;
  } else if (!strcmp(how, "deferred")) {
    setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one);
    result = connectTo(fd, &to);
    if (result == 0 && write(fd, "x", 1) < 0) result = errno;
  } else if (!strcmp(how, "uring")) {
    result = uringConnect(fd, &to);
  } else {
    result = connectTo(fd, &to);
  }
  close(fd);
  return result;
}

static void storm(int first, int count, int processes) {
  for (int done = 0; done < count;) {
    for (int i = 0; i < processes && done < count; i++, done += 10) {
      if (fork() != 0) continue;
      for (int each = done; each < done + 10; each++) {
        char address[32];
        snprintf(address, sizeof address, "127.%d.%d.%d", first, each / 250, each % 250 + 1);
        struct target to = parse(address, 9);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        connectTo(fd, &to);
        close(fd);
      }
      _exit(0);
    }
    while (wait(0) > 0);
  }
}

static int brood(int count, const char *address, int port) {
  struct target to = parse(address, port);
  int free = 0, status;
  for (int i = 0, running = 0; i < count || running > 0;) {
    if (i < count && running < 16) {
      if (fork() == 0) {
        usleep(i % 16 * 1000);
        int fd = socket(to.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _exit(connectTo(fd, &to) == EPERM ? 0 : 1);
      }
      i++;
      running++;
      continue;
    }
    wait(&status);
    running--;
    free += status != 0;
  }
  return free;
}

/* The writing end of a pipe that the children of `crowd` wait at; -1: there are none. */
static int crowdEnd = -1;

static void crowd(int count) {
  int ends[2];
  if (pipe(ends) < 0) return;
  for (int i = 0; i < count; i++) {
    if (fork() != 0) continue;
    char byte;
    close(ends[1]);
    _exit(read(ends[0], &byte, 1));
  }
  close(ends[0]);
  crowdEnd = ends[1];
}

static void endCrowd(void) {
  if (crowdEnd < 0) return;
  close(crowdEnd);
  crowdEnd = -1;
  while (wait(0) > 0);
}

static void flood(int count) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  for (int i = 0; i < count; i++) {
    to.sin_addr.s_addr = htonl(0x7f400000 + i);
    sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
  }
  close(fd);
}

static int perform(char *command);

static void *inThread(void *command) {
  printf("%d %d\n", getpid(), perform(command));
  fflush(stdout);
  return 0;
}

/* The result of a command; -1: something else has answered. */
static int perform(char *command) {
  char word[32] = "", address[64] = "";
  int port = 0, more = 0, rest = 0;
  sscanf(command, "%31s%n", word, &rest);
  char *inner = command + rest + (command[rest] == ' ');
  if (!strcmp(word, "thread")) {
    pthread_t thread;
    pthread_create(&thread, 0, inThread, inner);
    pthread_join(thread, 0);
    return -1;
  }
  if (!strcmp(word, "fork") || !strcmp(word, "exec") || !strcmp(word, "as")) {
    pid_t child = fork();
    if (child == 0) {
      if (*word == 'a') {
        sscanf(inner, "%u%n", (unsigned *)&more, &rest);
        inner += rest + 1;
        if (setuid(more) < 0) _exit(1);
      }
      if (*word == 'e') execl(self, self, inner, NULL);
      int result = perform(inner);
      if (result >= 0) printf("%d %d\n", getpid(), result);
      fflush(stdout);
      _exit(0);
    }
    waitpid(child, 0, 0);
    return -1;
  }
  if (!strcmp(word, "bound")) {
    sscanf(inner, "%63s%n", bound, &rest);
    int result = perform(inner + rest + 1);
    *bound = 0;
    return result;
  }
  if (!strcmp(word, "via")) {
    sscanf(inner, "%63s%n", via, &rest);
    int result = perform(inner + rest + 1);
    *via = 0;
    return result;
  }
  if (!strcmp(word, "close")) {
    while (keptCount > 0) close(kept[--keptCount]);
    return 0;
  }
  if (!strcmp(word, "autolisten")) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    kept[keptCount++] = fd;
    return listen(fd, 128) == 0 ? 0 : errno;
  }
  if (!strcmp(word, "flood")) {
    flood(atoi(inner));
    return 0;
  }
  if (!strcmp(word, "crowd")) {
    crowd(atoi(inner));
    return 0;
  }
  if (!strcmp(word, "brood")) {
    sscanf(inner, "%d %63s %d", &more, address, &port);
    return brood(more, address, port);
  }
  if (!strcmp(word, "storm")) {
    sscanf(inner, "%d %d %d", &port, &more, &rest);
    storm(port, more, rest);
    return 0;
  }
  sscanf(inner, "%63s %d", address, &port);
  if (!strcmp(word, "bindrace")) return bindRace(address, port);
  if (!strcmp(word, "udpcontrol")) return udpControl(address, port);
  if (!strcmp(word, "share")) return share(address, port);
  return !strcmp(word, "late") ? late(address, port) : use(word, address, port);
}

int main(int count, char **arguments) {
  self = arguments[0];
  char line[256];
  if (count > 1) {
    int result = perform(arguments[1]);
    if (result >= 0) printf("%d %d\n", getpid(), result);
    return 0;
  }
  printf("%d 0\n", getpid());
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    endCrowd();
    int result = perform(line);
    if (result >= 0) printf("%d %d\n", getpid(), result);
    fflush(stdout);
  }
  return 0;
}
