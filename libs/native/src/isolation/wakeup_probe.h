// How soon a live executor gets its CPU while a batch executor uses all of it: the measurement behind the proof at boot
// that preemption works. The two belong in processes of their own, started as workers are, since the kernel may group
// by process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "isolation/tool.h"

namespace interleave {

struct WakeupDelays {
  std::vector<IsolationTool> tools;    // of the thread that was measured
  std::vector<std::int64_t> delaysNs;  // ascending
};

// Lets a thread that has what a live executor on `cpu` has sleep and work by turns, about 1.4 ms each, `count` times,
// and takes how late it ran after each sleep. Fewer times when `limitNs` have passed before. Blocks.
WakeupDelays MeasureWakeups(int cpu, std::size_t count, std::int64_t limitNs);

// Keeps `cpu` busy with a thread that has what a batch executor has, until `limitNs` have passed or the process ends.
// Returns once the thread spins.
std::vector<IsolationTool> SpinAsBatch(int cpu, std::int64_t limitNs);

}  // namespace interleave
