#include "run/model_costs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace interleave {
namespace {

constexpr double kMoveMin = 0.05;

bool HasMoved(double from, double to) { return std::abs(to / from - 1) > kMoveMin; }

}  // namespace

ModelCosts::Snapshot ModelCosts::Now() const {
  const std::scoped_lock lock(mutex_);
  return {table_, grid_, tracker_.ratio()};
}

void ModelCosts::SetGrid(CostGrid grid) {
  auto table = std::make_shared<const CostTable>(grid);
  auto kept = std::make_shared<const CostGrid>(std::move(grid));
  const std::scoped_lock lock(mutex_);
  table_.swap(table);
  grid_.swap(kept);
  ++generation_;
  tracker_ = {};
  told_ = tracker_.ratio();
}

ModelCosts::Observation ModelCosts::Observe(std::int64_t rows, std::int64_t length, std::int64_t measuredNs) {
  const std::scoped_lock lock(mutex_);
  const double tableNs = table_->RunNs(rows, length);
  const double expectedNs = tableNs * tracker_.ratio().median;
  tracker_.Observe(tableNs, static_cast<double>(measuredNs));
  ++seen_.runs;
  seen_.tokensMax = std::max(seen_.tokensMax, rows * length);
  seen_.lengthMax = std::max(seen_.lengthMax, length);
  seen_.nsMax = std::max(seen_.nsMax, measuredNs);
  return {.ofExpected = static_cast<double>(measuredNs) / expectedNs, .tableNs = tableNs, .generation = generation_};
}

std::int64_t ModelCosts::HangNs(std::int64_t rows, std::int64_t length, bool isShared) const {
  const std::scoped_lock lock(mutex_);
  const bool isMeasured = grid_ != nullptr && length <= grid_->lengths.back();
  const bool wasSeen = seen_.runs >= kHangRunsMin && rows * length <= seen_.tokensMax && length <= seen_.lengthMax;
  if (!isMeasured && !wasSeen) return std::numeric_limits<std::int64_t>::max();
  const double highNs =
      isMeasured ? table_->RunNs(rows, length) * tracker_.ratio().high : static_cast<double>(seen_.nsMax);
  return std::max(isShared ? kSharedHangNsMin : kHangNsMin, static_cast<std::int64_t>(kHangFactor * highNs));
}

std::uint8_t ModelCosts::generation() const {
  const std::scoped_lock lock(mutex_);
  return generation_;
}

bool ModelCosts::TakeRatioMove() {
  const std::scoped_lock lock(mutex_);
  const CostRatio ratio = tracker_.ratio();
  if (!HasMoved(told_.median, ratio.median) && !HasMoved(told_.high, ratio.high)) return false;
  told_ = ratio;
  return true;
}

}  // namespace interleave
