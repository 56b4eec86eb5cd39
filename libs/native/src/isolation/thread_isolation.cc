#include "isolation/thread_isolation.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "isolation/cpu_set.h"

namespace interleave {
namespace {

constexpr int kLowestNice = 19;
// Nice of live executors: the threads that admit, refuse and answer requests come first, or an overload would keep them
// from refusing it. With 32 connections on 2 CPUs nice 10 gave 1.25 times the requests per second of nice 0 and 9
// instead of 17 ms of event-loop delay (p99); nice 5 lay between.
constexpr int kLiveNice = 10;
// The kernel gives it three quarters of a CPU beside a live executor.
constexpr int kExpressNice = 5;
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

// Does not leave the mask that the process was started with, though the kernel would let it.
IsolationTool Pin(int cpu) {
  const std::string what = "CPU " + std::to_string(cpu);
  const CpuSet allowed;
  if (cpu >= CpuSet::kCpusMax || !allowed.ReadOf(0) || !allowed.Has(cpu)) {
    return Unavailable("cpu-affinity", what + " is not among those that this process may use");
  }
  CpuSet own;
  own.Add(cpu);
  return own.ApplyTo(0) ? Active("cpu-affinity") : Unavailable("cpu-affinity", what + ": " + ErrnoText());
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

std::vector<IsolationTool> IsolateAwakeLoop(int cpu) {
  IsolationTool nice = SetNice(kLowestNice);
  return {Pin(cpu), SetIdleClass(), std::move(nice)};
}

void IsolateExpress(const std::vector<int>& cpus) {
  const CpuSet allowed;
  CpuSet own;
  for (const int cpu : cpus) {
    if (cpu < CpuSet::kCpusMax && allowed.ReadOf(0) && allowed.Has(cpu)) own.Add(cpu);
  }
  own.ApplyTo(0);
  SetSlice();
  SetNice(kExpressNice);
}

IsolationTool IsolateFrontThread() { return SetSlice(); }

void IsolateHelper(Lane lane) {
  if (lane == Lane::kBatch) SetNice(kLowestNice);
}

}  // namespace interleave
