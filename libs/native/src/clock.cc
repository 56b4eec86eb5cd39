#include "clock.h"

#include <ctime>

namespace interleave {
namespace {

std::int64_t ReadNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t MonotonicNowNs() { return ReadNs(CLOCK_MONOTONIC); }

std::int64_t ThreadCpuNs() { return ReadNs(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace interleave
