// Helper functions that programs call, by number (enum bpf_func_id of include/uapi/linux/bpf.h), there since
// 5.8 unless a comment names a later kernel, and the flags they take.

export const helpers = {
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  /** Nanoseconds of CLOCK_MONOTONIC. */
  ktimeGetNs: 5,
  smpProcessorId: 8,
  tailCall: 12,
  /** (thread group << 32) + thread, both as the host counts them. */
  currentPidTgid: 14,
  /** (group << 32) + user, the real ones of the process, as the host counts them. */
  currentUidGid: 15,
  socketCookie: 46,
  /** Gives the value that a map keeps for a socket, or 0. In tracing programs since 5.11. */
  socketStorageGet: 107,
  /** Signals the process that runs, which gets the signal before it is back in user mode. 5.3 */
  sendSignal: 109,
  probeReadUser: 112,
  probeReadKernel: 113,
  /** Gives the length with its NUL, or -errno. */
  probeReadKernelStr: 115,
  /** Appends to what a read of the iterator returns. */
  seqWrite: 127,
  ringbufOutput: 130,
  ringbufQuery: 134,
  /** The struct task_struct, along which the program may read without a helper. 5.11 */
  currentTask: 158,
} as const;

export const BPF_RB_FORCE_WAKEUP = 2;
/** ringbuf_query: bytes not read yet. */
export const BPF_RB_AVAIL_DATA = 0;
/** sk_storage_get: make a value if the socket has none. */
export const BPF_SK_STORAGE_GET_F_CREATE = 1;
/** map_update_elem: only if the key is not there yet. */
export const BPF_NOEXIST = 1;
