#include "coalesce/coalescer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "coalesce/batch_shape.h"
#include "coalesce/groups.h"
#include "coalesce/partition.h"

namespace interleave {
namespace {

// Regrets within this of each other are equal, so that the older run goes first.
constexpr double kRegretStep = 0.005;

// One choice: the queue divided into runs, then one of them picked.
class Chooser {
 public:
  Chooser(std::span<const QueueEntry> queue, std::int64_t nowNs, const CoalesceLimits& limits)
      : queue_(queue), nowNs_(nowNs), limits_(limits) {}

  Choice Choose() {
    const bool isRealtime = limits_.lane == Lane::kRealtime;
    groups_ = GroupItems(queue_, isRealtime ? WithinReach() : All(), limits_);
    runs_ = Partition(queue_, groups_, limits_.models,
                      {.nowNs = nowNs_,
                       .keepsDeadlines = isRealtime,
                       .waitingWeight = isRealtime ? limits_.waitingWeight : 0.0});
    const PlannedRun& run = isRealtime ? MostUrgent() : AgedOrLeastRegret();
    return {{groups_.order.begin() + static_cast<std::ptrdiff_t>(run.begin),
             groups_.order.begin() + static_cast<std::ptrdiff_t>(run.end)},
            static_cast<std::int64_t>(run.tableNs * ModelOf(run).ratio.median)};
  }

 private:
  const QueueEntry& At(std::size_t position) const { return queue_[groups_.order[position]]; }
  const ModelLimits& ModelOf(const PlannedRun& run) const { return limits_.models[At(run.begin).model]; }
  double AloneTableNs(const QueueEntry& entry) const {
    return limits_.models[entry.model].cost->RunNs(entry.rows, TokensOfRow(entry.lengths));
  }

  std::vector<std::uint32_t> All() const {
    std::vector<std::uint32_t> members(queue_.size());
    std::iota(members.begin(), members.end(), 0U);
    return members;
  }

  // Without those that would most likely miss their deadlines even if they ran now; all when there are no others.
  std::vector<std::uint32_t> WithinReach() const {
    std::vector<std::uint32_t> members;
    members.reserve(queue_.size());
    for (std::uint32_t i = 0; i < queue_.size(); ++i) {
      const QueueEntry& entry = queue_[i];
      const double medianNs = AloneTableNs(entry) * limits_.models[entry.model].ratio.median;
      if (entry.deadlineNs == 0 || medianNs <= static_cast<double>(entry.deadlineNs - nowNs_)) members.push_back(i);
    }
    return members.empty() ? All() : members;
  }

  // The run of the item whose latest start leaves no room for one more typical run, the earliest such; else the run of
  // the item that is due first.
  const PlannedRun& MostUrgent() const {
    const double typicalNs = TypicalRunNs();
    const PlannedRun* best = nullptr;
    std::pair<bool, double> bestKey;
    for (const PlannedRun& run : runs_) {
      for (std::size_t position = run.begin; position < run.end; ++position) {
        const QueueEntry& entry = At(position);
        const double latestNs = LatestStartNs(entry);
        const bool canWait = latestNs >= typicalNs;
        const std::pair<bool, double> key{
            canWait, canWait ? static_cast<double>(DueNs(entry, limits_) - nowNs_) : latestNs};
        if (best == nullptr || key < bestKey) {
          best = &run;
          bestKey = key;
        }
      }
    }
    return *best;
  }

  // From now.
  double LatestStartNs(const QueueEntry& entry) const {
    if (entry.deadlineNs == 0) return INFINITY;
    return static_cast<double>(entry.deadlineNs - nowNs_) -
           AloneTableNs(entry) * limits_.models[entry.model].ratio.high;
  }

  double TypicalRunNs() const {
    double sumNs = 0;
    for (const PlannedRun& run : runs_) sumNs += run.tableNs * ModelOf(run).ratio.high;
    return sumNs / static_cast<double>(runs_.size());
  }

  // The run of the oldest item once that is past the age bound; else the run that wastes least, so that odd lengths wait
  // for partners.
  const PlannedRun& AgedOrLeastRegret() const {
    const PlannedRun* oldest = nullptr;
    const PlannedRun* best = nullptr;
    std::int64_t oldestNs = INT64_MAX;
    std::pair<double, std::int64_t> bestKey;
    for (const PlannedRun& run : runs_) {
      std::int64_t runOldestNs = INT64_MAX;
      for (std::size_t position = run.begin; position < run.end; ++position) {
        runOldestNs = std::min(runOldestNs, At(position).enqueuedNs);
      }
      const std::pair<double, std::int64_t> key{std::floor(Regret(run) / kRegretStep), runOldestNs};
      if (best == nullptr || key < bestKey) {
        best = &run;
        bestKey = key;
      }
      if (oldest == nullptr || runOldestNs < oldestNs) {
        oldest = &run;
        oldestNs = runOldestNs;
      }
    }
    return nowNs_ - oldestNs > limits_.ageMaxNs ? *oldest : *best;
  }

  // Cost of the run against what its rows cost in the batches that suit them best.
  double Regret(const PlannedRun& run) const {
    const CostTable& table = *ModelOf(run).cost;
    double leastNs = 0;
    for (std::size_t position = run.begin; position < run.end; ++position) {
      leastNs += table.BestRowNs(TokensOfRow(At(position).lengths)) * static_cast<double>(At(position).rows);
    }
    return run.tableNs / leastNs;
  }

  const std::span<const QueueEntry> queue_;
  const std::int64_t nowNs_;
  const CoalesceLimits& limits_;
  Groups groups_;
  std::vector<PlannedRun> runs_;
};

}  // namespace

Choice ChooseNext(std::span<const QueueEntry> queue, std::int64_t nowNs, const CoalesceLimits& limits) {
  if (queue.empty()) return {};
  return Chooser(queue, nowNs, limits).Choose();
}

}  // namespace interleave
