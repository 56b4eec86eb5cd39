#include "isolation/process_isolation.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "isolation/cgroup.h"
#include "isolation/cpu_set.h"
#include "isolation/memory_limit.h"

namespace interleave {
namespace {

constexpr int kPassesMax = 16;
constexpr int kOomScoreMax = 1000;
// Points of 1000, on top of what the process inherits: batch workers are among the kernel's first choices.
constexpr int kBatchOomScore = 500;
// linux/mempolicy.h; its C library wrapper is in libnuma.
constexpr int kMpolBind = 2;
constexpr int kNumaNodesMax = 1024;
// linux/ioprio.h; the C library has no wrappers.
constexpr int kIoWhoProcess = 1;
constexpr int kIoClassShift = 13;
constexpr int kIoClassIdle = 3;

std::vector<pid_t> Threads() {
  std::vector<pid_t> threads;
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return threads;
  while (const dirent* entry = readdir(folder)) {
    if (const int thread = std::atoi(entry->d_name); thread > 0) threads.push_back(thread);
  }
  closedir(folder);
  return threads;
}

// A thread that has not been moved yet may start another one meanwhile: goes over all of them until none is left.
IsolationTool MoveThreads(const std::vector<int>& cpus) {
  const char* tool = "process-affinity";
  const CpuSet wanted(cpus);
  for (int pass = 0; pass < kPassesMax; ++pass) {
    bool allMoved = true;
    for (const pid_t thread : Threads()) {
      const CpuSet current;
      if (!current.ReadOf(thread) || current.Equals(wanted)) continue;  // unreadable: it has ended
      allMoved = false;
      if (!wanted.ApplyTo(thread) && errno != ESRCH) return Unavailable(tool, ErrnoText());
    }
    if (allMoved) return Active(tool);
  }
  return Unavailable(tool, "new threads kept starting on other CPUs, or the kernel keeps them off some of these CPUs");
}

// Holds for the calling thread and what it starts.
IsolationTool BindMemory(const std::vector<int>& nodes) {
  const char* tool = "numa-binding";
  if (nodes.empty()) return Off(tool, "the machine has one NUMA node");
  constexpr std::size_t kBits = 8 * sizeof(unsigned long);
  unsigned long mask[kNumaNodesMax / kBits] = {};
  for (const int node : nodes) {
    const auto bit = static_cast<std::size_t>(node);
    mask[bit / kBits] |= 1UL << (bit % kBits);
  }
  if (syscall(SYS_set_mempolicy, kMpolBind, mask, kNumaNodesMax + 1) == 0) return Active(tool);
  return Unavailable(tool, "set_mempolicy: " + ErrnoText());
}

IsolationTool RaiseOomScore(Lane lane) {
  const char* tool = "oom-score";
  if (lane == Lane::kRealtime) return Off(tool, "only the batch lane's is raised");
  int inherited = 0;
  std::ifstream("/proc/self/oom_score_adj") >> inherited;
  if (inherited >= kOomScoreMax) return Unavailable(tool, "every process of this node has the highest score already");
  std::ofstream file("/proc/self/oom_score_adj");
  file << std::min(kOomScoreMax, inherited + kBatchOomScore) << std::flush;
  return file ? Active(tool) : Unavailable(tool, "/proc/self/oom_score_adj: " + ErrnoText());
}

// Where both lanes are in one CPU group, SCHED_IDLE holds by itself, and idle groups would change nothing.
IsolationTool IdleCpuGroup(const ProcessIsolation& isolation) {
  const char* tool = "cpu-idle";
  if (isolation.lane == Lane::kRealtime) return Off(tool, "only wanted in the batch lane");
  const std::optional<std::string> group = CgroupOf(getpid());
  if (!group) return Off(tool, "there is no cgroup v2");
  const std::string own = CpuGroupOf(kCgroupRoot, *group);
  const bool isShared = std::all_of(isolation.livePids.begin(), isolation.livePids.end(), [&own](pid_t pid) {
    const std::optional<std::string> live = CgroupOf(pid);
    return !live || CpuGroupOf(kCgroupRoot, *live) == own;
  });
  if (isShared) return Off(tool, "no CPU cgroup separates the lanes");
  const std::string error = MakeGroupIdle(kCgroupRoot, own, getpid());
  return error.empty() ? Active(tool) : Unavailable(tool, error);
}

}  // namespace

std::vector<IsolationTool> IsolateProcess(const ProcessIsolation& isolation) {
  return {
      MoveThreads(isolation.cpus),
      BindMemory(isolation.numaNodes),
      LimitMemory({isolation.workerId, isolation.memoryBytes, isolation.executorsCount}),
      RaiseOomScore(isolation.lane),
      IdleCpuGroup(isolation),
  };
}

IsolationTool IsolateDiskWork() {
  const char* tool = "io-class";
  constexpr int kIdle = kIoClassIdle << kIoClassShift;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    bool allIdle = true;
    for (const pid_t thread : Threads()) {
      const long current = syscall(SYS_ioprio_get, kIoWhoProcess, thread);
      if (current < 0 && errno == ESRCH) continue;
      if (current >= 0 && current >> kIoClassShift == kIoClassIdle) continue;
      allIdle = false;
      if (syscall(SYS_ioprio_set, kIoWhoProcess, thread, kIdle) != 0 && errno != ESRCH) {
        return Unavailable(tool, "ioprio_set: " + ErrnoText());
      }
    }
    if (allIdle) return Active(tool);
  }
  return Unavailable(tool, "new threads kept starting with another class");
}

}  // namespace interleave
