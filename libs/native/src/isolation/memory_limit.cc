#include "isolation/memory_limit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "isolation/cgroup.h"

namespace interleave {
namespace {

constexpr const char* kTool = "memory-limit";
constexpr std::chrono::milliseconds kLookMin{10};
constexpr std::chrono::milliseconds kLookMax{200};
constexpr std::int64_t kMib = 1 << 20;
// A CPU touches less: 1.1 to 4.7 GiB a second were measured, with pages of 4 KiB and of 2 MiB.
constexpr std::int64_t kTouchedMibPerCpuMs = 8;
// Address space of threads that are still to start: a stack of 8 MiB, and what malloc sets aside.
constexpr std::int64_t kThreadBytes = 16 * kMib;
constexpr std::int64_t kOtherThreads = 9;

struct MemoryUse {
  std::int64_t residentBytes = 0;
  std::int64_t dataBytes = 0;  // what RLIMIT_DATA counts: private writable mappings
};

// proc_pid_statm(5), in pages: size resident shared text lib data dt.
MemoryUse ReadUse(int statm) {
  char text[128] = {};
  long long resident = 0;
  long long shared = 0;
  long long data = 0;
  if (pread(statm, text, sizeof(text) - 1, 0) <= 0) return {};
  if (std::sscanf(text, "%*d %lld %lld %*d %*d %lld", &resident, &shared, &data) != 3) return {};
  const std::int64_t pageBytes = sysconf(_SC_PAGESIZE);
  // Pages of files can be had back, and channels are their clients'.
  return {(resident - shared) * pageBytes, data * pageBytes};
}

[[noreturn]] void End(const MemoryLimit& limit, std::int64_t residentBytes) {
  std::fprintf(stderr,
               "interleave worker %s: %lld MiB of memory are in use, more than the %lld MiB of its partition's memory; "
               "the process ends\n",
               limit.workerId.c_str(), static_cast<long long>(residentBytes / kMib),
               static_cast<long long>(limit.bytes / kMib));
  _exit(kMemoryLimitExitCode);
}

std::int64_t CpusCount() {
  static const std::int64_t count = std::max(1L, sysconf(_SC_NPROCESSORS_CONF));
  return count;
}

void Watch(const MemoryLimit& limit, int statm) {
  pthread_setname_np(pthread_self(), "memory-limit");
  while (true) {
    const std::int64_t residentBytes = ReadUse(statm).residentBytes;
    if (residentBytes > limit.bytes) End(limit, residentBytes);
    std::this_thread::sleep_for(UntilNextLook(limit.bytes - residentBytes, CpusCount()));
  }
}

// proc_meminfo(5), in kB. 0: not there.
std::int64_t Field(const char* text, const char* name) {
  const char* at = std::strstr(text, name);
  long long kilobytes = 0;
  if (at == nullptr || std::sscanf(at + std::strlen(name), ": %lld", &kilobytes) != 1) return 0;
  return kilobytes * 1024;
}

void WatchShortage(const MemoryLimit& limit, int statm, ReadMachine read) {
  pthread_setname_np(pthread_self(), "memory-limit");
  while (true) {
    const MachineMemory machine = read();
    const std::int64_t residentBytes = ReadUse(statm).residentBytes;
    if (machine.availableBytes > 0 && machine.availableBytes < machine.shortBytes &&
        residentBytes > machine.largeBytes) {
      std::fprintf(
          stderr,
          "interleave worker %s: the machine has %lld MiB of memory left, and %lld MiB are in use here; the process "
          "ends before others suffer. Set the memory of its partition to say how much it may use\n",
          limit.workerId.c_str(), static_cast<long long>(machine.availableBytes / kMib),
          static_cast<long long>(residentBytes / kMib));
      _exit(kMemoryLimitExitCode);
    }
    // It ends only once both are so.
    const std::int64_t headroomBytes =
        std::max(machine.largeBytes - residentBytes, machine.availableBytes - machine.shortBytes);
    std::this_thread::sleep_for(UntilNextLook(headroomBytes, CpusCount()));
  }
}

// Above all that may be resident by as much as is mapped without being touched. Empty on success.
std::string LimitData(const MemoryLimit& limit, std::int64_t dataBytes) {
  const auto threads = static_cast<std::int64_t>(limit.executorsCount) + kOtherThreads;
  rlimit data{};
  if (getrlimit(RLIMIT_DATA, &data) != 0) return ErrnoText();
  const auto wanted = static_cast<rlim_t>(dataBytes + limit.bytes + limit.bytes / 4 + threads * kThreadBytes);
  if (data.rlim_max != RLIM_INFINITY && data.rlim_max <= wanted) return "";
  data.rlim_cur = data.rlim_max = wanted;
  return setrlimit(RLIMIT_DATA, &data) == 0 ? "" : ErrnoText();
}

}  // namespace

std::chrono::milliseconds UntilNextLook(std::int64_t headroomBytes, std::int64_t cpusCount) {
  const std::chrono::milliseconds untilGone{headroomBytes / kMib / (kTouchedMibPerCpuMs * cpusCount)};
  return std::clamp(untilGone, kLookMin, kLookMax);
}

MachineMemory ReadMachineMemory() {
  char text[1024] = {};
  const int file = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  if (length <= 0) return {};
  const std::int64_t totalBytes = Field(text, "MemTotal");
  return {Field(text, "MemAvailable"), std::min(totalBytes / 20, std::int64_t{1} << 30), totalBytes / 4};
}

IsolationTool WatchMachine(const MemoryLimit& limit, ReadMachine read) {
  const int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (statm < 0) return Unavailable(kTool, "/proc/self/statm: " + ErrnoText());
  if (read().availableBytes == 0) return Unavailable(kTool, "/proc/meminfo cannot be read");
  std::thread([limit, statm, read] { WatchShortage(limit, statm, read); }).detach();
  return Off(kTool,
             "the partition has no memory limit; the worker ends when the machine is short of memory and a quarter of "
             "it is here");
}

IsolationTool LimitMemory(const MemoryLimit& limit) {
  if (limit.bytes == 0) return WatchMachine(limit, ReadMachineMemory);
  const std::optional<std::string> group = CgroupOf(getpid());
  const std::string noGroup = group ? JoinMemoryGroup(kCgroupRoot, *group, "interleave-" + limit.workerId, limit.bytes)
                                    : "there is no cgroup v2";
  if (noGroup.empty()) return Active(kTool, "memory.max of a cgroup");
  const int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (statm < 0) return Unavailable(kTool, "/proc/self/statm: " + ErrnoText());
  const MemoryUse use = ReadUse(statm);
  if (use.residentBytes == 0) return Unavailable(kTool, "/proc/self/statm cannot be read");
  std::thread([limit, statm] { Watch(limit, statm); }).detach();
  const std::string noDataLimit = LimitData(limit, use.dataBytes);
  const std::string backstop = noDataLimit.empty() ? " and RLIMIT_DATA set" : ", without RLIMIT_DATA: " + noDataLimit;
  return Active(kTool, "the resident set is watched" + backstop + "; no cgroup of its own: " + noGroup);
}

}  // namespace interleave
