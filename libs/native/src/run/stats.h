// Counters of one model in one worker. Written by executors and the I/O thread, read at any time without a lock, so
// that a reader never waits for an executor that the kernel holds back.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "control/service_times.h"
#include "item.h"

namespace interleave {

inline constexpr std::size_t kItemStatuses = 10;
static_assert(static_cast<std::size_t>(ItemStatus::kGone) + 1 == kItemStatuses);

// Rows of a run, upper bounds of the buckets; one more for what is larger.
inline constexpr std::array<std::int64_t, 11> kRunRowsBounds{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

// Measured cost of a run ÷ the predicted, upper bounds of the buckets; one more for what is larger. Fine around 1, so
// that the share of runs that were predicted within 10 % can be read off.
inline constexpr std::array<double, 19> kCostRatioBounds{0.5,  0.7,   0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 1, 1.025,
                                                         1.05, 1.075, 1.1, 1.15, 1.2, 1.3,   1.5,  2,     4};

// Time in which the policy chose a run, upper bounds of the buckets; one more for what is larger.
inline constexpr std::array<std::int64_t, 13> kFormationNsBounds{1'000,     2'000,     5'000,     10'000,  20'000,
                                                                 50'000,    100'000,   200'000,   500'000, 1'000'000,
                                                                 2'000'000, 5'000'000, 10'000'000};

struct ModelStats {
  std::atomic<std::uint64_t> runs{0};
  std::atomic<std::uint64_t> rows{0};
  std::atomic<std::uint64_t> realTokens{0};
  std::atomic<std::uint64_t> paddedTokens{0};  // what was run: real tokens and padding
  std::atomic<std::uint64_t> runNs{0};
  std::array<std::atomic<std::uint64_t>, kRunRowsBounds.size() + 1> runRows{};       // not cumulative
  std::array<std::atomic<std::uint64_t>, kCostRatioBounds.size() + 1> costRatios{};  // not cumulative
  std::atomic<double> costRatioSum{0};
  std::array<std::atomic<std::uint64_t>, kFormationNsBounds.size() + 1> formations{};  // not cumulative
  std::atomic<std::uint64_t> formationNs{0};
  std::atomic<std::uint64_t> duplicates{0};                       // items that joined the run of an equal one
  std::array<std::atomic<std::uint64_t>, kItemStatuses> items{};  // answered, by ItemStatus
  ServiceTimes service;  // of live items that were answered or whose deadline passed

  void CountItem(ItemStatus status) { items[static_cast<std::size_t>(status)].fetch_add(1, std::memory_order_relaxed); }

  void CountDuplicate() { duplicates.fetch_add(1, std::memory_order_relaxed); }

  void CountFormation(std::int64_t elapsedNs) {
    const auto bound = std::lower_bound(kFormationNsBounds.begin(), kFormationNsBounds.end(), elapsedNs);
    formations[static_cast<std::size_t>(bound - kFormationNsBounds.begin())].fetch_add(1, std::memory_order_relaxed);
    formationNs.fetch_add(static_cast<std::uint64_t>(elapsedNs), std::memory_order_relaxed);
  }

  void CountCostRatio(double ratio) {
    const auto bound = std::lower_bound(kCostRatioBounds.begin(), kCostRatioBounds.end(), ratio);
    costRatios[static_cast<std::size_t>(bound - kCostRatioBounds.begin())].fetch_add(1, std::memory_order_relaxed);
    costRatioSum.fetch_add(ratio, std::memory_order_relaxed);
  }

  // `executorNs`: over all executors that it took.
  void CountRun(std::int64_t rowsRun, std::int64_t real, std::int64_t padded, std::int64_t executorNs) {
    runs.fetch_add(1, std::memory_order_relaxed);
    rows.fetch_add(static_cast<std::uint64_t>(rowsRun), std::memory_order_relaxed);
    realTokens.fetch_add(static_cast<std::uint64_t>(real), std::memory_order_relaxed);
    paddedTokens.fetch_add(static_cast<std::uint64_t>(padded), std::memory_order_relaxed);
    runNs.fetch_add(static_cast<std::uint64_t>(executorNs), std::memory_order_relaxed);
    std::size_t bucket = 0;
    while (bucket < kRunRowsBounds.size() && rowsRun > kRunRowsBounds[bucket]) ++bucket;
    runRows[bucket].fetch_add(1, std::memory_order_relaxed);
  }
};

// What waits for one model, as of the last change of the queue.
struct QueueGauge {
  std::atomic<std::int64_t> items{0};
  std::atomic<std::int64_t> oldestNs{0};  // CLOCK_MONOTONIC; 0: nothing waits
  std::size_t place = 0;                  // the queue's own, under its lock
};

}  // namespace interleave
