// What keeps the processes of the lanes apart, as far as it holds for a whole worker process and not for one executor.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "isolation/tool.h"
#include "lane.h"

namespace interleave {

struct ProcessIsolation {
  std::string workerId;
  Lane lane = Lane::kRealtime;
  std::vector<int> cpus{};       // of all threads that are not executors
  std::vector<int> numaNodes{};  // of these CPUs; empty: the machine has one node
  std::int64_t memoryBytes = 0;  // 0: no limit
  std::size_t executorsCount = 0;
  std::vector<pid_t> livePids{};  // running workers of the realtime lane
};

// Applies it to the calling process and says what worked. To be called before any thread of the worker starts: these
// inherit CPUs and nodes. Never fails.
std::vector<IsolationTool> IsolateProcess(const ProcessIsolation& isolation);

// Has the disk work of all threads of the calling process, and of those that they start, wait for that of others. For
// the runner.
IsolationTool IsolateDiskWork();

}  // namespace interleave
