// How the waiting items divide into runs that cost the least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "coalesce/coalescer.h"
#include "coalesce/groups.h"

namespace interleave {

// One run: the positions [begin, end) of Groups::order.
struct PlannedRun {
  std::size_t begin = 0;
  std::size_t end = 0;
  double tableNs = 0;  // by the cost table, without the ratio
};

struct PartitionRules {
  std::int64_t nowNs = 0;
  // A shared run must end before the deadlines of its members.
  bool keepsDeadlines = false;
  double waitingWeight = 0;
  // What a shared run may take by the high ratio, beside the lane's limit, over all executors that it takes.
  double runHighNsMax = std::numeric_limits<double>::infinity();
};

// The partition of every group into runs of neighbours that keep the limits and the rules with the least sum of
// cost * (1 + waitingWeight * rows). Runs of neighbours in length are optimal where cost grows with the length. (The
// dynamic programme of TurboTransformers, Fang et al. 2021, with limits and deadlines.) A single item is always a
// permitted run. O(n * items in the largest permitted run).
std::vector<PlannedRun> Partition(std::span<const QueueEntry> queue, const Groups& groups,
                                  std::span<const ModelLimits> models, const PartitionRules& rules);

}  // namespace interleave
