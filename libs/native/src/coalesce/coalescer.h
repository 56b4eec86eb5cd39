// Picks the items of the next run out of the queue: a pure function, no clock, no thread, no memory between calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "coalesce/cost_table.h"
#include "lane.h"

namespace interleave {

// Longest shared runs by lane: in the realtime lane what a new item may have to wait for an executor. Capping at 40 ms
// costs 0 to 2 % of the throughput (docs/scheduling.md §1).
inline constexpr std::int64_t kRealtimeRunNsMax = 40'000'000;
inline constexpr std::int64_t kBatchRunNsMax = 100'000'000;

// Where a priority stands: 1 (highest) to 255; 0, the default, in the middle.
constexpr std::int64_t PriorityLevel(std::uint8_t priority) { return priority == 0 ? 128 : priority; }

// One waiting item as the policy sees it.
struct QueueEntry {
  std::uint32_t model = 0;
  // 0 default, 1 highest, larger lower.
  std::uint8_t priority = 0;
  // Runs by itself, whatever else waits.
  bool alone = false;
  // Goes before all that do not, however late those are, and shares runs only with its like: they keep its run short.
  bool ahead = false;
  std::int64_t rows = 1;
  // Along both sequence axes; 0 where the model has none.
  std::array<std::int64_t, 2> lengths{};
  // Otherwise no row of its runs is longer.
  bool mayBePadded = true;
  // Only items with equal keys may share a run.
  std::uint64_t shapeKey = 0;
  std::int64_t deadlineNs = 0;  // 0: none
  std::int64_t enqueuedNs = 0;
};

// One model as the policy sees it. An item that exceeds the limits by itself runs alone.
struct ModelLimits {
  std::int64_t rowsMax = 1;
  // Rows times the padded length of a row: what memory allows.
  std::int64_t tokensMax = 1;
  // Items of unequal lengths never share a run.
  bool equalLengths = false;
  // Never null. Shared, since a new table may replace it while a choice is being made.
  std::shared_ptr<const CostTable> cost = CostTable::Analytic();
  CostRatio ratio{};
  // Predicted by the table and the median ratio.
  std::int64_t runNsMax = kRealtimeRunNsMax;
  // Executors that a run takes.
  std::size_t width = 1;
};

struct CoalesceLimits {
  Lane lane = Lane::kRealtime;
  // By QueueEntry::model.
  std::span<const ModelLimits> models;
  // Realtime lane: how many share the work that waits, at least 1, and what those that are running still have to do.
  std::size_t executors = 1;
  std::int64_t runningNs = 0;
  // Batch lane: an item that waits for twice the executor time that all that waits is predicted to take, within these
  // bounds, is taken next, with what fits it. Sooner, and odd lengths of slow models find no partners: with 150 ms for
  // all, runs of a model of 27 ms a row cost 5 % more. Later, and the blocks that rows of fast models come in stay in
  // memory: with 5 s, the runner collected its whole heap every other second.
  std::int64_t ageMinNs = 150'000'000;
  std::int64_t ageMaxNs = 5'000'000'000;
  // Realtime lane: a run of b rows counts as 1 + waitingWeight * b times its cost, for those who wait for its end.
  // Simulated on the table of docs/scheduling.md §1, Poisson arrivals, 4 executors, short rows (median 14), p50/p99 in
  // ms at 0.6 and 0.9 of the capacity: 0: 7.5 / 24.6, 36.9 / 103; 0.01: 7.4 / 23.2, 34.2 / 101; 0.03: 7.4 / 21.9, 38.0
  // / 114; 0.1: 7.3 / 20.4, 363 / 446; 0.3: 7.6 / 22.8, 470 / 486 and 15 % refused. More than 0.01 gives away the
  // capacity that keeps queues short; with longer rows (median 40) the differences are smaller and point the same way.
  double waitingWeight = 0.01;
  // Realtime lane: an item of priority p is due p of these after its arrival, so that none waits forever.
  std::int64_t ageStepNs = 10'000'000;
};

struct Choice {
  // Into the queue: the items to run together next, all of one model; empty exactly when the queue is.
  std::vector<std::size_t> indices;
  // Cost of the run, by the table and the median ratio.
  std::int64_t predictedNs = 0;
};

// Divides the queue into the runs that cost the least together (partition.h) and picks one of them. Only that one is
// fixed: the next call divides anew what waits then.
// Realtime: the run of an item that goes ahead; else of the item that is due first by arrival and priority; when the
// deadlines leave no room for that, the run of the earliest deadline. No shared run is so long that what waits would
// miss its deadline. An item that cannot make its deadline any more only runs when nothing else waits. Batch: the run
// of the earliest deadline; else of an item past the age bound; else the run that wastes the least, so that odd lengths
// wait for partners. O(n * items in a run).
Choice ChooseNext(std::span<const QueueEntry> queue, std::int64_t nowNs, const CoalesceLimits& limits);

}  // namespace interleave
