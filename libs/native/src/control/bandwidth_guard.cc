#include "control/bandwidth_guard.h"

#include <algorithm>
#include <cmath>

namespace interleave {
namespace {

// docs/scheduling.md §6.
const double kLogLimit = std::log(1.05);
constexpr int kBadWindowsMin = 3;
constexpr std::int64_t kGiveBackNs = 500'000'000;

// A median of fewer is noise.
constexpr std::size_t kWindowRunsMin = 5;
constexpr std::size_t kWindowRunsMax = 256;
constexpr std::int64_t kWindowNsMax = 200'000'000;
// The cost of a model's quiet runs counts from this many runs on, their noise from this many windows on.
constexpr std::size_t kQuietRunsMin = 50;
constexpr std::size_t kQuietWindowsMin = 20;
constexpr double kNoiseQuantile = 0.95;
// After executors were withdrawn in vain.
constexpr std::int64_t kSilenceNsMin = 5'000'000'000;
constexpr std::int64_t kSilenceNsMax = 80'000'000'000;

double MedianOf(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void QuantileTracker::Observe(double value) {
  ++count_;
  if (count_ == 1) {
    value_ = value;
    return;
  }
  // Large steps first, so that it comes near before it is believed.
  const double step = std::max(step_, 0.3 / static_cast<double>(count_));
  value_ += step * (value > value_ ? quantile_ : quantile_ - 1);
}

BandwidthGuard::BandwidthGuard(std::size_t modelsCount)
    : quiet_(modelsCount), noise_(kNoiseQuantile, 0.004), silenceNs_(kSilenceNsMin) {}

void BandwidthGuard::OnRun(const RunSample& sample) {
  if (sample.model >= quiet_.size() || !(sample.ofTable > 0)) return;
  // Ratios to another table say nothing about this one.
  if (quiet_[sample.model].table != sample.table) quiet_[sample.model] = {.table = sample.table};
  QuantileTracker& quiet = quiet_[sample.model].logRatio;
  const double logRatio = std::log(static_cast<double>(sample.ofTable));
  if (sample.isQuiet) quiet.Observe(logRatio);
  if (quiet.count() < kQuietRunsMin) return;
  Window& window = sample.isQuiet ? quietWindow_ : sharedWindow_;
  if (window.logRatios.size() < kWindowRunsMax) window.logRatios.push_back(logRatio - quiet.value());
}

void BandwidthGuard::OnTick(std::int64_t nowNs, std::uint32_t executorsMax) {
  const std::uint32_t withdrawnMax = executorsMax > 1 ? executorsMax - 1 : 0;
  double logMedian = 0;
  if (TakeMedian(quietWindow_, nowNs, logMedian)) noise_.Observe(logMedian);
  if (TakeMedian(sharedWindow_, nowNs, logMedian)) Judge(nowNs, logMedian, withdrawnMax);
  if (nowNs - judgedNs_ > kWindowNsMax) badWindows_ = 0;
  withdrawn_ = std::min(withdrawn_, withdrawnMax);
  GiveBack(nowNs);
}

bool BandwidthGuard::TakeMedian(Window& window, std::int64_t nowNs, double& logMedian) const {
  if (window.logRatios.empty()) {
    window.openedNs = nowNs;
    return false;
  }
  const bool isFull = window.logRatios.size() >= kWindowRunsMin;
  if (isFull) logMedian = MedianOf(window.logRatios);
  if (isFull || nowNs - window.openedNs > kWindowNsMax) {
    window.logRatios.clear();
    window.openedNs = nowNs;
  }
  return isFull;
}

void BandwidthGuard::Judge(std::int64_t nowNs, double logMedian, std::uint32_t withdrawnMax) {
  logLatest_ = logMedian;
  hasLatest_ = true;
  judgedNs_ = nowNs;
  badWindows_ = logMedian > LogLimit() ? badWindows_ + 1 : 0;
  if (badWindows_ < kBadWindowsMin || !HasBaseline() || nowNs < silentUntilNs_ || withdrawnMax == 0) return;
  if (withdrawn_ < withdrawnMax) {
    ++withdrawn_;
    ++withdrawals_;
    changedNs_ = nowNs;
  }
}

void BandwidthGuard::GiveBack(std::int64_t nowNs) {
  if (withdrawn_ == 0 || nowNs - changedNs_ < kGiveBackNs) return;
  if (badWindows_ >= kBadWindowsMin) return GiveUp(nowNs);
  --withdrawn_;
  changedNs_ = nowNs;
  if (withdrawn_ == 0) silenceNs_ = kSilenceNsMin;
}

// For all this time every executor but one was withdrawn, and nothing became better: it is not they that disturb.
void BandwidthGuard::GiveUp(std::int64_t nowNs) {
  withdrawn_ = 0;
  badWindows_ = 0;
  silentUntilNs_ = nowNs + silenceNs_;
  silenceNs_ = std::min(kSilenceNsMax, 2 * silenceNs_);
}

bool BandwidthGuard::HasBaseline() const { return noise_.count() >= kQuietWindowsMin; }

double BandwidthGuard::LogLimit() const { return std::max(kLogLimit, noise_.value()); }

double BandwidthGuard::Limit() const { return HasBaseline() ? std::exp(LogLimit()) : 0; }

double BandwidthGuard::Latest() const { return hasLatest_ ? std::exp(logLatest_) : 0; }

}  // namespace interleave
