// Withdraws batch executors while live runs cost more than they do alone: SCHED_IDLE protects neither memory bandwidth
// nor caches (docs/scheduling.md §6). Pure but for its own memory: no clock, no thread. Why it compares with quiet
// runs: docs/decisions/0016.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "control/run_samples.h"

namespace interleave {

// A quantile of a stream by stochastic approximation (Robbins and Monro 1951): bounded steps, no memory of values.
class QuantileTracker {
 public:
  QuantileTracker(double quantile, double step) : quantile_(quantile), step_(step) {}
  void Observe(double value);
  double value() const { return value_; }
  std::size_t count() const { return count_; }

 private:
  double quantile_;
  double step_;
  double value_ = 0;
  std::size_t count_ = 0;
};

class BandwidthGuard {
 public:
  explicit BandwidthGuard(std::size_t modelsCount);

  void OnRun(const RunSample& sample);
  // Every 20 ms while there are runs. `executorsMax`: of a batch worker, one of which stays.
  void OnTick(std::int64_t nowNs, std::uint32_t executorsMax);

  std::uint32_t withdrawn() const { return withdrawn_; }
  std::uint64_t withdrawals() const { return withdrawals_; }
  // Ratio to a quiet run above which it acts; 0: too few quiet runs were seen.
  double Limit() const;
  // Ratio of the last window of runs beside the batch lane; 0: none yet.
  double Latest() const;

 private:
  // Runs of which the median is judged; empty ones stay open, so that few runs a tick are judged too.
  struct Window {
    std::vector<double> logRatios;  // to the quiet median of their model
    std::int64_t openedNs = 0;
  };

  // Quiet runs of one model.
  struct Quiet {
    QuantileTracker logRatio{0.5, 0.002};  // to the table
    std::uint8_t table = 0;
  };

  bool HasBaseline() const;
  double LogLimit() const;
  // The median of a window that is full; forgets one that has been open for too long.
  bool TakeMedian(Window& window, std::int64_t nowNs, double& logMedian) const;
  void Judge(std::int64_t nowNs, double logMedian, std::uint32_t withdrawnMax);
  void GiveBack(std::int64_t nowNs);
  void GiveUp(std::int64_t nowNs);

  std::vector<Quiet> quiet_;  // by model
  QuantileTracker noise_;     // of the medians of quiet windows
  Window quietWindow_;
  Window sharedWindow_;
  int badWindows_ = 0;
  std::int64_t judgedNs_ = 0;
  double logLatest_ = 0;
  bool hasLatest_ = false;
  std::uint32_t withdrawn_ = 0;
  std::uint64_t withdrawals_ = 0;
  std::int64_t changedNs_ = 0;
  std::int64_t silentUntilNs_ = 0;
  std::int64_t silenceNs_ = 0;
};

}  // namespace interleave
