#include "isolation/thread_isolation.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace interleave {
namespace {

constexpr int kLowestNice = 19;
// Of live executors: the threads that admit, refuse and answer requests come first, or an overload would keep them from
// refusing it. With 32 connections on 2 CPUs nice 10 gave 1.25 times the requests per second of nice 0 and 9 instead of
// 17 ms of event-loop delay (p99); nice 5 lay between.
constexpr int kLiveNice = 10;
constexpr std::uint64_t kLiveSliceNs = 100'000;

// The kernel's struct sched_attr, first version; glibc 2.36 has neither it nor a wrapper.
struct SchedAttr {
  std::uint32_t size = sizeof(SchedAttr);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtimeNs = 0;  // SCHED_OTHER: the slice
  std::uint64_t deadlineNs = 0;
  std::uint64_t periodNs = 0;
};
static_assert(sizeof(SchedAttr) == 48);

IsolationTool Active(const char* tool) { return {tool, ToolState::kActive, ""}; }
IsolationTool Off(const char* tool) { return {tool, ToolState::kOff, ""}; }
IsolationTool Unavailable(const char* tool, const std::string& reason) {
  return {tool, ToolState::kUnavailable, reason};
}
std::string ErrnoText() { return std::strerror(errno); }

// CPU sets of any size: the machine may have more CPUs than cpu_set_t holds.
class CpuSet {
 public:
  static constexpr int kCpusMax = 8192;

  CpuSet() : set_(CPU_ALLOC(kCpusMax)), bytes_(CPU_ALLOC_SIZE(kCpusMax)) { CPU_ZERO_S(bytes_, set_); }
  ~CpuSet() { CPU_FREE(set_); }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;
  void Add(int cpu) { CPU_SET_S(static_cast<std::size_t>(cpu), bytes_, set_); }
  bool Has(int cpu) const { return CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes_, set_); }
  bool ReadOwn() const { return sched_getaffinity(0, bytes_, set_) == 0; }
  bool Apply() const { return sched_setaffinity(0, bytes_, set_) == 0; }

 private:
  cpu_set_t* set_;
  std::size_t bytes_;
};

// Does not leave the mask that the process was started with, though the kernel would let it.
IsolationTool Pin(int cpu) {
  const std::string what = "CPU " + std::to_string(cpu);
  const CpuSet allowed;
  if (cpu >= CpuSet::kCpusMax || !allowed.ReadOwn() || !allowed.Has(cpu)) {
    return Unavailable("cpu-affinity", what + " is not among those that this process may use");
  }
  CpuSet own;
  own.Add(cpu);
  return own.Apply() ? Active("cpu-affinity") : Unavailable("cpu-affinity", what + ": " + ErrnoText());
}

IsolationTool SetNice(int nice) {
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  if (setpriority(PRIO_PROCESS, thread, nice) == 0) return Active("nice");
  return Unavailable("nice", ErrnoText());
}

IsolationTool SetIdleClass() {
  const sched_param parameters{};
  if (sched_setscheduler(0, SCHED_IDLE, &parameters) == 0) return Active("scheduling-class");
  return Unavailable("scheduling-class", "SCHED_IDLE: " + ErrnoText());
}

// Older kernels accept the call and ignore the slice: what was set is read back.
IsolationTool SetSlice() {
  SchedAttr attr;
  if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0) return Unavailable("scheduling-slice", ErrnoText());
  attr.runtimeNs = kLiveSliceNs;
  if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0) return Unavailable("scheduling-slice", ErrnoText());
  SchedAttr read;
  if (syscall(SYS_sched_getattr, 0, &read, sizeof(read), 0) != 0 || read.runtimeNs != kLiveSliceNs) {
    return Unavailable("scheduling-slice", "needs Linux 6.12");
  }
  return Active("scheduling-slice");
}

}  // namespace

std::vector<IsolationTool> IsolateExecutor(Lane lane, int cpu) {
  if (lane == Lane::kRealtime) {
    IsolationTool nice = SetNice(kLiveNice);
    return {Pin(cpu), Off("scheduling-class"), SetSlice(), std::move(nice)};
  }
  // Nice first: it is what is left when the class is refused.
  IsolationTool nice = SetNice(kLowestNice);
  return {Pin(cpu), SetIdleClass(), Off("scheduling-slice"), std::move(nice)};
}

IsolationTool IsolateFrontThread() { return SetSlice(); }

void IsolateHelper(Lane lane) {
  if (lane == Lane::kBatch) SetNice(kLowestNice);
}

}  // namespace interleave
