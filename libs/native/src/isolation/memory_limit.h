// Keeps a process within an amount of memory, so that a model that allocates without end ends its own worker and
// nothing else.
#pragma once

#include <cstdint>
#include <string>

#include "isolation/tool.h"

namespace interleave {

// Exit code of a process that ended because its resident set was above its limit (ENOMEM).
inline constexpr int kMemoryLimitExitCode = 12;

struct MemoryLimit {
  std::string workerId;
  std::int64_t bytes = 0;  // resident; 0: no limit
  std::size_t executorsCount = 0;
};

// Limits the calling process, for good. By a cgroup where one is delegated. Otherwise by a thread that reads the
// resident set every 10 ms and ends the process above the limit, with a message on standard error; between two readings
// RLIMIT_DATA refuses what is much larger. RLIMIT_AS is of no use: V8 reserves far more addresses than it ever touches.
IsolationTool LimitMemory(const MemoryLimit& limit);

}  // namespace interleave
