#include "coalesce/partition.h"

#include <algorithm>
#include <limits>

#include "coalesce/run_shape.h"

namespace interleave {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct LastRun {
  std::size_t begin = 0;
  double tableNs = 0;
};

// Memory for the group at hand.
struct Memory {
  std::vector<RunShape> items;
  std::vector<double> tableNsMax;  // what the lane and the item's deadline allow a shared run
  // By the number of items: the least sum for the first so many, and the last run of that partition.
  std::vector<double> sums;
  std::vector<LastRun> lastRuns;
};

class PartitionSolver {
 public:
  PartitionSolver(std::span<const QueueEntry> queue, std::span<const std::uint32_t> order, const PartitionRules& rules,
                  Memory& memory)
      : queue_(queue),
        order_(order),
        rules_(rules),
        items_(memory.items),
        tableNsMax_(memory.tableNsMax),
        sums_(memory.sums),
        lastRuns_(memory.lastRuns) {}

  // Appends the runs of one group, the shortest items first.
  void Solve(const Group& group, const ModelLimits& limits, std::vector<PlannedRun>& runs) {
    Gather(group, limits);
    const std::size_t count = items_.size();
    lastRuns_.resize(count + 1);
    sums_.assign(count + 1, 0.0);
    for (std::size_t end = 1; end <= count; ++end) {
      if (isPlain_) {
        FindRunUntil<true>(end, limits);
      } else {
        FindRunUntil<false>(end, limits);
      }
    }
    const std::size_t first = runs.size();
    for (std::size_t end = count; end > 0; end = lastRuns_[end].begin) {
      runs.push_back({group.begin + lastRuns_[end].begin, group.begin + end, lastRuns_[end].tableNs});
    }
    std::reverse(runs.begin() + static_cast<std::ptrdiff_t>(first), runs.end());
  }

 private:
  void Gather(const Group& group, const ModelLimits& limits) {
    items_.clear();
    tableNsMax_.clear();
    isPlain_ = true;
    const double laneNsMax = static_cast<double>(limits.runNsMax) / limits.ratio.median;
    for (std::size_t position = group.begin; position < group.end; ++position) {
      const QueueEntry& entry = queue_[order_[position]];
      isPlain_ = isPlain_ && entry.rows == 1 && entry.lengths[1] == 0 && entry.mayBePadded;
      items_.push_back({.rows = entry.rows, .lengths = entry.lengths, .mayBePadded = entry.mayBePadded});
      const bool isBound = rules_.keepsDeadlines && entry.deadlineNs != 0;
      const auto leftNs = static_cast<double>(entry.deadlineNs - rules_.nowNs);
      tableNsMax_.push_back(isBound ? std::min(laneNsMax, leftNs / limits.ratio.high) : laneNsMax);
    }
  }

  // Finds the best partition of the items before `end`. kIsPlain: every item is one row with one length and may be
  // padded, so that the last item alone says what a run is padded to; this is the usual case and has to be quick.
  template <bool kIsPlain>
  void FindRunUntil(std::size_t end, const ModelLimits& limits) {
    const RunShape last = items_[end - 1];
    CostTable::Curve curve = limits.cost->At(TokensOfRow(last.lengths));
    RunShape shape;
    double tableNsMax = rules_.runHighNsMax / (limits.ratio.high * static_cast<double>(limits.width));
    double sum = kInfinity;
    LastRun best;
    const std::int64_t plainRowsMax = std::min(limits.rowsMax, limits.tokensMax / TokensOfRow(last.lengths));
    for (std::size_t begin = end; begin-- > 0;) {
      if constexpr (kIsPlain) {
        ++shape.rows;
      } else {
        shape = shape.With(items_[begin]);
        curve = limits.cost->At(TokensOfRow(shape.lengths));
      }
      tableNsMax = std::min(tableNsMax, tableNsMax_[begin]);
      const double tableNs = curve.RunNs(shape.rows);
      // What breaks a limit still breaks it with one more item. A single item may break them all.
      const bool fits = kIsPlain ? shape.rows <= plainRowsMax : shape.Fits(limits);
      if (begin + 1 < end && (!fits || tableNs > tableNsMax)) break;
      const double candidate = sums_[begin] + tableNs * (1 + rules_.waitingWeight * static_cast<double>(shape.rows));
      if (candidate < sum) {
        sum = candidate;
        best = {begin, tableNs};
      }
    }
    sums_[end] = sum;
    lastRuns_[end] = best;
  }

  const std::span<const QueueEntry> queue_;
  const std::span<const std::uint32_t> order_;
  const PartitionRules rules_;
  // See Memory.
  std::vector<RunShape>& items_;
  std::vector<double>& tableNsMax_;
  std::vector<double>& sums_;
  std::vector<LastRun>& lastRuns_;
  bool isPlain_ = true;
};

}  // namespace

std::vector<PlannedRun> Partition(std::span<const QueueEntry> queue, const Groups& groups,
                                  std::span<const ModelLimits> models, const PartitionRules& rules) {
  std::vector<PlannedRun> runs;
  thread_local Memory memory;  // see radix_sort.h
  PartitionSolver solver(queue, groups.order, rules, memory);
  for (const Group& group : groups.groups) {
    solver.Solve(group, models[queue[groups.order[group.begin]].model], runs);
  }
  return runs;
}

}  // namespace interleave
