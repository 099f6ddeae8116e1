// Helper functions that programs call, by number (enum bpf_func_id of include/uapi/linux/bpf.h), all there since 5.8,
// and the flags they take.

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
  probeReadUser: 112,
  probeReadKernel: 113,
  /** Gives the length with its NUL, or -errno. */
  probeReadKernelStr: 115,
  ringbufOutput: 130,
  ringbufQuery: 134,
} as const;

export const BPF_RB_FORCE_WAKEUP = 2;
/** ringbuf_query: bytes not read yet. */
export const BPF_RB_AVAIL_DATA = 0;
