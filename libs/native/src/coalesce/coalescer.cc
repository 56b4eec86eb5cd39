#include "coalesce/coalescer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "coalesce/groups.h"
#include "coalesce/partition.h"
#include "coalesce/radix_sort.h"
#include "coalesce/run_shape.h"

namespace interleave {
namespace {

// Regrets within this of each other are equal, so that the older run goes first.
constexpr double kRegretStep = 0.005;
// Deadlines are put in order by steps of 2^16 ns (66 us), which saves passes of the sort.
constexpr int kSlackBits = 16;

// An item with a deadline, in ns from now.
struct Pending {
  std::uint64_t left = 0;  // until the deadline, in steps
  double latestStartNs = 0;
  double workNs = 0;  // of each executor
};

// One choice: the queue divided into runs, then one of them picked.
class Chooser {
 public:
  Chooser(std::span<const QueueEntry> queue, std::int64_t nowNs, const CoalesceLimits& limits)
      : queue_(queue), nowNs_(nowNs), limits_(limits) {}

  Choice Realtime() {
    aloneTableNs_.reserve(queue_.size());
    for (const QueueEntry& entry : queue_) aloneTableNs_.push_back(AloneTableNs(entry));
    const std::vector<std::uint32_t> members = WithinReach();
    const double slackNs = SlackNs(members);
    PartitionRules rules{.nowNs = nowNs_, .keepsDeadlines = true, .waitingWeight = limits_.waitingWeight};
    // A longer run could make others miss their deadlines. When some will anyway, throughput helps most.
    if (slackNs >= 0) rules.runHighNsMax = slackNs * static_cast<double>(limits_.executors);
    Divide(members, rules);
    if (std::ranges::any_of(members, [this](std::uint32_t index) { return queue_[index].ahead; })) {
      return ChoiceOf(
          RunOfFirst([this](const QueueEntry& entry) { return entry.ahead ? DueNs(entry, limits_) : INT64_MAX; }));
    }
    const PlannedRun& due = RunOfFirst([this](const QueueEntry& entry) { return DueNs(entry, limits_); });
    if (due.tableNs * ModelOf(due).ratio.high <= slackNs) return ChoiceOf(due);
    return ChoiceOf(RunOfFirst([](const QueueEntry& entry) { return DeadlineNs(entry); }));
  }

  Choice Batch() {
    std::vector<std::uint32_t> members(queue_.size());
    std::iota(members.begin(), members.end(), 0U);
    Divide(members, {});
    // Somebody waits for an item with a deadline, nobody for a row of a file.
    const bool isAwaited = std::ranges::any_of(queue_, [](const QueueEntry& entry) { return entry.deadlineNs != 0; });
    return ChoiceOf(isAwaited ? RunOfFirst(DeadlineNs) : AgedOrLeastRegret());
  }

 private:
  void Divide(std::span<const std::uint32_t> members, const PartitionRules& rules) {
    groups_ = GroupItems(queue_, members, limits_);
    runs_ = Partition(queue_, groups_, limits_.models, rules);
  }

  const QueueEntry& At(std::size_t position) const { return queue_[groups_.order[position]]; }
  const ModelLimits& ModelOf(const PlannedRun& run) const { return limits_.models[At(run.begin).model]; }
  Choice ChoiceOf(const PlannedRun& run) const {
    return {{groups_.order.begin() + static_cast<std::ptrdiff_t>(run.begin),
             groups_.order.begin() + static_cast<std::ptrdiff_t>(run.end)},
            static_cast<std::int64_t>(run.tableNs * ModelOf(run).ratio.median)};
  }

  std::size_t RunsAtOnce(const QueueEntry& entry) const {
    return std::max<std::size_t>(1, limits_.executors / limits_.models[entry.model].width);
  }
  double AloneTableNs(const QueueEntry& entry) const {
    return limits_.models[entry.model].cost->RunNs(entry.rows, TokensOfRow(entry.lengths));
  }
  static std::int64_t DeadlineNs(const QueueEntry& entry) {
    return entry.deadlineNs == 0 ? INT64_MAX : entry.deadlineNs;
  }

  // Without those that would most likely miss their deadlines even if they ran now; all when there are no others.
  std::vector<std::uint32_t> WithinReach() const {
    std::vector<std::uint32_t> members;
    members.reserve(queue_.size());
    for (std::uint32_t i = 0; i < queue_.size(); ++i) {
      const QueueEntry& entry = queue_[i];
      const double medianNs = aloneTableNs_[i] * limits_.models[entry.model].ratio.median;
      if (entry.deadlineNs == 0 || medianNs <= static_cast<double>(entry.deadlineNs - nowNs_)) members.push_back(i);
    }
    if (members.empty()) {
      members.resize(queue_.size());
      std::iota(members.begin(), members.end(), 0U);
    }
    return members;
  }

  // How long the executors may do something else and still keep every deadline, running the items one by one, the
  // earliest deadline first. Below 0: not every one can be kept. Infinite without deadlines.
  double SlackNs(std::span<const std::uint32_t> members) const {
    thread_local std::vector<Pending> pending;  // see radix_sort.h
    pending.clear();
    pending.reserve(members.size());
    for (const std::uint32_t index : members) {
      const QueueEntry& entry = queue_[index];
      if (entry.deadlineNs == 0) continue;
      const double tableNs = aloneTableNs_[index];
      const CostRatio ratio = limits_.models[entry.model].ratio;
      pending.push_back({static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry.deadlineNs - nowNs_)) >> kSlackBits,
                         static_cast<double>(entry.deadlineNs - nowNs_) - tableNs * ratio.high,
                         tableNs * ratio.median / static_cast<double>(RunsAtOnce(entry))});
    }
    RadixSort(pending, [](const Pending& item) { return item.left; });
    double slackNs = INFINITY;
    for (std::size_t i = pending.size(); i-- > 0;) {
      slackNs = std::min(pending[i].latestStartNs, slackNs - pending[i].workNs);
    }
    return slackNs - static_cast<double>(limits_.runningNs) / static_cast<double>(limits_.executors);
  }

  // The run of the item for which `keyOf` is the least.
  template <class KeyOf>
  const PlannedRun& RunOfFirst(KeyOf keyOf) const {
    std::size_t run = 0;
    std::int64_t leastNs = INT64_MAX;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      for (std::size_t position = runs_[i].begin; position < runs_[i].end; ++position) {
        const std::int64_t keyNs = keyOf(At(position));
        if (keyNs >= leastNs) continue;
        leastNs = keyNs;
        run = i;
      }
    }
    return runs_[run];
  }

  // The run of the oldest item once that is past the age bound; else the run that wastes least, so that odd lengths
  // wait for partners.
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
    return nowNs_ - oldestNs > AgeBoundNs() ? *oldest : *best;
  }

  std::int64_t AgeBoundNs() const {
    double queueNs = 0;
    for (const PlannedRun& run : runs_) queueNs += run.tableNs * ModelOf(run).ratio.median;
    const auto mostNs = static_cast<double>(limits_.ageMaxNs);
    const double leastNs = std::min(static_cast<double>(limits_.ageMinNs), mostNs);
    return static_cast<std::int64_t>(std::clamp(2 * queueNs, leastNs, mostNs));
  }

  // Cost of the run against what its rows cost in the runs that suit them best.
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
  std::vector<double> aloneTableNs_;  // by position in the queue
  Groups groups_;
  std::vector<PlannedRun> runs_;
};

}  // namespace

Choice ChooseNext(std::span<const QueueEntry> queue, std::int64_t nowNs, const CoalesceLimits& limits) {
  if (queue.empty()) return {};
  Chooser chooser(queue, nowNs, limits);
  return limits.lane == Lane::kRealtime ? chooser.Realtime() : chooser.Batch();
}

}  // namespace interleave
