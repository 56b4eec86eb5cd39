#include "isolation/wakeup_probe.h"

#include <sys/prctl.h>

#include <algorithm>
#include <ctime>
#include <future>
#include <thread>

#include "isolation/thread_isolation.h"

namespace interleave {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// Sleeps of 0.2 to 0.5 ms that differ from each other, so that they keep no step with the kernel's ticks.
constexpr std::int64_t kSleepMinNs = 200'000;
constexpr std::int64_t kSleepSpreadNs = 300'000;
constexpr std::int64_t kSleepStepNs = 114'590;  // golden ratio of the spread: consecutive values are far apart
// A thread that only sleeps is never late, even where the kernel shares the CPU equally (Linux 6.18: p99 0.03 ms in a
// session of its own). It is when it wants more than its share: with 1 ms of work after each sleep p99 was 4.0 ms then,
// and 0.05 ms where preemption works.
constexpr std::int64_t kWorkNs = 1'000'000;

std::int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

void SpinUntil(std::int64_t endNs) {
  while (NowNs() < endNs) {
  }
}

std::int64_t LatenessNs(std::int64_t sleepNs) {
  const std::int64_t dueNs = NowNs() + sleepNs;
  const timespec due{.tv_sec = static_cast<time_t>(dueNs / kNsPerSecond),
                     .tv_nsec = static_cast<long>(dueNs % kNsPerSecond)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) != 0) {
  }
  return NowNs() - dueNs;
}

}  // namespace

WakeupDelays MeasureWakeups(int cpu, std::size_t count, std::int64_t limitNs) {
  WakeupDelays result;
  std::thread([&result, cpu, count, limitNs] {
    result.tools = IsolateExecutor(Lane::kRealtime, cpu);
    // Executors wait for wake-ups, not for a timer, which the kernel would let be 50 us late.
    prctl(PR_SET_TIMERSLACK, 1UL);
    const std::int64_t endNs = NowNs() + limitNs;
    std::int64_t offsetNs = 0;
    do {
      offsetNs = (offsetNs + kSleepStepNs) % kSleepSpreadNs;
      result.delaysNs.push_back(LatenessNs(kSleepMinNs + offsetNs));
      SpinUntil(NowNs() + kWorkNs);
    } while (result.delaysNs.size() < count && NowNs() < endNs);
  }).join();
  std::sort(result.delaysNs.begin(), result.delaysNs.end());
  return result;
}

std::vector<IsolationTool> SpinAsBatch(int cpu, std::int64_t limitNs) {
  std::promise<std::vector<IsolationTool>> spinning;
  auto tools = spinning.get_future();
  std::thread([spinning = std::move(spinning), cpu, limitNs]() mutable {
    const std::int64_t endNs = NowNs() + limitNs;
    spinning.set_value(IsolateExecutor(Lane::kBatch, cpu));
    SpinUntil(endNs);
  }).detach();
  return tools.get();
}

}  // namespace interleave
