// Numbers of system calls (asm/unistd_64.h for x86-64, asm-generic/unistd.h for arm64), in groups of one purpose. The
// kernel knows more; only those that a process of treewarden may make are here.

/** The number on x86-64 and on arm64; null where the architecture does not have the call. */
type Numbers = readonly [number, number] | readonly [number, null];

const groups = {
  /** Memory of the process itself, and the random numbers of its allocator. */
  memory: {
    brk: [12, 214],
    mmap: [9, 222],
    munmap: [11, 215],
    mprotect: [10, 226],
    mremap: [25, 216],
    madvise: [28, 233],
    mincore: [27, 232],
    msync: [26, 227],
    membarrier: [324, 283],
    getrandom: [318, 278],
  },
  /** Threads, their signals and their scheduling, and the end of the process. */
  threads: {
    clone: [56, 220],
    futex: [202, 98],
    set_robust_list: [273, 99],
    rseq: [334, 293],
    set_tid_address: [218, 96],
    gettid: [186, 178],
    getpid: [39, 172],
    getppid: [110, 173],
    exit: [60, 93],
    exit_group: [231, 94],
    sched_yield: [24, 124],
    sched_getaffinity: [204, 123],
    sched_setaffinity: [203, 122],
    sched_setattr: [314, 274],
    sched_getattr: [315, 275],
    getpriority: [140, 141],
    setpriority: [141, 140],
    tgkill: [234, 131],
    rt_sigaction: [13, 134],
    rt_sigprocmask: [14, 135],
    rt_sigreturn: [15, 139],
    rt_sigsuspend: [130, 133],
    sigaltstack: [131, 132],
    arch_prctl: [158, null],
    prctl: [157, 167],
    getcpu: [309, 168],
    restart_syscall: [219, 128],
  },
  /** Clocks that are read, timers and waits. */
  time: {
    clock_gettime: [228, 113],
    clock_getres: [229, 114],
    clock_nanosleep: [230, 115],
    nanosleep: [35, 101],
    gettimeofday: [96, 169],
    time: [201, null],
    timerfd_create: [283, 85],
    timerfd_settime: [286, 86],
    timerfd_gettime: [287, 87],
    setitimer: [38, 103],
  },
  /** Waiting for descriptors. */
  waiting: {
    epoll_create1: [291, 20],
    epoll_ctl: [233, 21],
    epoll_wait: [232, null],
    epoll_pwait: [281, 22],
    epoll_pwait2: [441, 441],
    poll: [7, null],
    ppoll: [271, 73],
    eventfd2: [290, 19],
    signalfd4: [289, 74],
    inotify_init1: [294, 26],
    inotify_add_watch: [254, 27],
    inotify_rm_watch: [255, 28],
    pidfd_open: [434, 434],
  },
  /** Reading files and folders, and reading and writing what is open. */
  files: {
    read: [0, 63],
    pread64: [17, 67],
    readv: [19, 65],
    preadv: [295, 69],
    preadv2: [327, 286],
    write: [1, 64],
    pwrite64: [18, 68],
    writev: [20, 66],
    pwritev: [296, 70],
    pwritev2: [328, 287],
    open: [2, null],
    openat: [257, 56],
    openat2: [437, 437],
    close: [3, 57],
    close_range: [436, 436],
    lseek: [8, 62],
    stat: [4, null],
    fstat: [5, 80],
    lstat: [6, null],
    newfstatat: [262, 79],
    statx: [332, 291],
    statfs: [137, 43],
    fstatfs: [138, 44],
    access: [21, null],
    faccessat: [269, 48],
    faccessat2: [439, 439],
    readlink: [89, null],
    readlinkat: [267, 78],
    getdents64: [217, 61],
    getcwd: [79, 17],
    chdir: [80, 49],
    fchdir: [81, 50],
    fcntl: [72, 25],
    flock: [73, 32],
    dup: [32, 23],
    dup2: [33, null],
    dup3: [292, 24],
    pipe: [22, null],
    pipe2: [293, 59],
    ioctl: [16, 29],
    copy_file_range: [326, 285],
    sendfile: [40, 71],
  },
  /** Changing files and folders. */
  changes: {
    rename: [82, null],
    renameat: [264, 38],
    renameat2: [316, 276],
    unlink: [87, null],
    unlinkat: [263, 35],
    rmdir: [84, null],
    mkdir: [83, null],
    mkdirat: [258, 34],
    chmod: [90, null],
    fchmod: [91, 52],
    fchmodat: [268, 53],
    truncate: [76, 45],
    ftruncate: [77, 46],
    fallocate: [285, 47],
    fsync: [74, 82],
    fdatasync: [75, 83],
    memfd_create: [319, 279],
  },
  /** Who and where the process is, and what it may use. */
  identity: {
    uname: [63, 160],
    sysinfo: [99, 179],
    getrusage: [98, 165],
    prlimit64: [302, 261],
    getrlimit: [97, 163],
    getuid: [102, 174],
    geteuid: [107, 175],
    getgid: [104, 176],
    getegid: [108, 177],
    getresuid: [118, 148],
    capget: [125, 90],
  },
  /** Sockets that are open, and local pairs of them. */
  sockets: {
    socketpair: [53, 199],
    getsockname: [51, 204],
    getpeername: [52, 205],
    getsockopt: [55, 209],
    setsockopt: [54, 208],
    sendto: [44, 206],
    recvfrom: [45, 207],
    sendmsg: [46, 211],
    recvmsg: [47, 212],
    sendmmsg: [307, 269],
    recvmmsg: [299, 243],
    shutdown: [48, 210],
  },
  /** Opening sockets. */
  network: {
    socket: [41, 198],
    bind: [49, 200],
    listen: [50, 201],
    connect: [42, 203],
    accept: [43, 202],
    accept4: [288, 242],
  },
  /** Starting programs, and waiting for and ending them. */
  programs: {
    execve: [59, 221],
    execveat: [322, 281],
    fork: [57, null],
    vfork: [58, null],
    wait4: [61, 260],
    waitid: [247, 95],
    setsid: [112, 157],
    setpgid: [109, 154],
    kill: [62, 129],
  },
  /** What treewarden and its runtime do not call, but a sendmail may. */
  otherPrograms: {
    get_mempolicy: [239, 236],
    get_robust_list: [274, 100],
    sched_setscheduler: [144, 119],
    sched_getparam: [143, 121],
    sched_getscheduler: [145, 120],
    sched_get_priority_max: [146, 125],
    sched_get_priority_min: [147, 126],
    rt_sigtimedwait: [128, 137],
    rt_sigpending: [127, 136],
    timer_create: [222, 107],
    timer_settime: [223, 110],
    timer_delete: [226, 111],
    epoll_create: [213, null],
    select: [23, null],
    pselect6: [270, 72],
    splice: [275, 76],
    getxattr: [191, 8],
    lgetxattr: [192, 9],
    fgetxattr: [193, 10],
    fadvise64: [221, 223],
    sync_file_range: [277, 84],
    mknod: [133, null],
    mknodat: [259, 33],
    link: [86, null],
    linkat: [265, 37],
    symlink: [88, null],
    symlinkat: [266, 36],
    chown: [92, null],
    fchown: [93, 55],
    lchown: [94, null],
    fchownat: [260, 54],
    creat: [85, null],
    utimensat: [280, 88],
    getpgid: [121, 155],
    getpgrp: [111, null],
    getsid: [124, 156],
    times: [100, 153],
    getgroups: [115, 158],
    getresgid: [120, 150],
    umask: [95, 166],
  },
  /** Giving up rights and changing users. */
  rights: {
    setuid: [105, 146],
    setgid: [106, 144],
    setreuid: [113, 145],
    setregid: [114, 143],
    setresuid: [117, 147],
    setresgid: [119, 149],
    setgroups: [116, 159],
    setfsuid: [122, 151],
    setfsgid: [123, 152],
    capset: [126, 91],
    seccomp: [317, 277],
    setrlimit: [160, 164],
    landlock_create_ruleset: [444, 444],
    landlock_add_rule: [445, 445],
    landlock_restrict_self: [446, 446],
  },
  /** What only one of treewarden's processes calls. */
  kernel: {
    bpf: [321, 280],
    kcmp: [312, 272],
    pidfd_send_signal: [424, 424],
    ioprio_set: [251, 30],
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Numbers>>>>;

type Groups = typeof groups;
export type SystemCallGroup = keyof Groups;
export type SystemCall = { [G in SystemCallGroup]: keyof Groups[G] }[SystemCallGroup];

const numbersOf = new Map<string, Numbers>(
  Object.values(groups).flatMap((group) => Object.entries<Numbers>(group)),
);

/** The number of a call on this architecture; null if it does not have the call. */
export function systemCallNumber(call: SystemCall): number | null {
  const numbers = numbersOf.get(call);
  return numbers === undefined ? null : numbers[process.arch === "arm64" ? 1 : 0];
}

/** The number of a call that both architectures have. */
export function systemCall(call: SystemCall): number {
  const number = systemCallNumber(call);
  if (number === null) throw new RangeError(`no ${call} on this architecture`);
  return number;
}

export function isSystemCall(name: string): name is SystemCall {
  return numbersOf.has(name);
}

/** The calls of a group. */
export function callsOf(group: SystemCallGroup): readonly SystemCall[] {
  return Object.keys(groups[group]).filter(isSystemCall);
}
