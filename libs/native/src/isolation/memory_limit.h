// Keeps a process within an amount of memory, so that a model that allocates without end ends its own worker and
// nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "isolation/tool.h"

namespace interleave {

// Exit code of a process that ended because its resident set was above its limit (ENOMEM).
inline constexpr int kMemoryLimitExitCode = 12;

struct MemoryLimit {
  std::string workerId;
  std::int64_t bytes = 0;  // resident; 0: as much as the machine has, see `LimitMemory`
  std::size_t executorsCount = 0;
};

// Limits the calling process, for good. By a cgroup where one is delegated. Otherwise by a thread that reads the
// resident set, as often as `UntilNextLook` says, and ends the process above the limit, with a message on standard
// error; between two readings RLIMIT_DATA refuses what is much larger. RLIMIT_AS is of no use: V8 reserves far more
// addresses than it ever touches. Without a limit that thread ends the process when the machine is short of memory and
// the process has a large part of it: the kernel would end some process too, but only after it took the page cache from
// all.
IsolationTool LimitMemory(const MemoryLimit& limit);

// Time in which not all of the headroom can be touched, however many threads do, but at least 10 and at most 200 ms.
// Each look is a wake-up that takes a CPU from the executors.
std::chrono::milliseconds UntilNextLook(std::int64_t headroomBytes, std::int64_t cpusCount);

// What the machine has left; what counts as short, 1/20 of it all but not more than 1 GiB, and as a large part, 1/4.
struct MachineMemory {
  std::int64_t availableBytes = 0;  // 0: not known
  std::int64_t shortBytes = 0;
  std::int64_t largeBytes = 0;
};
MachineMemory ReadMachineMemory();
using ReadMachine = MachineMemory (*)();

// As `LimitMemory` without a limit, for a machine that a test describes.
IsolationTool WatchMachine(const MemoryLimit& limit, ReadMachine read);

}  // namespace interleave
