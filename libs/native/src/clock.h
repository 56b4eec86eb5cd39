// The clocks that are read.
#pragma once

#include <cstdint>

namespace interleave {

// CLOCK_MONOTONIC in nanoseconds; the same clock in every process of the machine.
std::int64_t MonotonicNowNs();
// CPU time of the calling thread in nanoseconds.
std::int64_t ThreadCpuNs();

}  // namespace interleave
