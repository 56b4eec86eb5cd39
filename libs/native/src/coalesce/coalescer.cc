#include "coalesce/coalescer.h"

#include <algorithm>
#include <tuple>

#include "coalesce/batch_shape.h"
#include "coalesce/densest.h"
#include "coalesce/neighbours.h"

namespace interleave {
namespace {

// Where the default priority 0 stands among 1 (highest) to 255.
constexpr int kDefaultPriority = 128;

// Smaller is more urgent.
std::tuple<int, std::int64_t, std::int64_t> Urgency(const QueueEntry& entry) {
  return {entry.priority == 0 ? kDefaultPriority : entry.priority,
          entry.deadlineNs == 0 ? INT64_MAX : entry.deadlineNs, entry.enqueuedNs};
}

template <class Less>
std::size_t First(std::span<const QueueEntry> queue, Less less) {
  return static_cast<std::size_t>(std::min_element(queue.begin(), queue.end(), less) - queue.begin());
}

Choice Predicted(std::span<const QueueEntry> queue, std::vector<std::size_t> indices, const CoalesceLimits& limits) {
  BatchShape batch;
  for (const std::size_t index : indices) batch = batch.With(queue[index]);
  const ModelLimits& model = limits.models[queue[indices[0]].model];
  const double ns = model.cost->RunNs(batch.rows, batch.lengths[0] + batch.lengths[1]) * model.ratio.median;
  return {std::move(indices), static_cast<std::int64_t>(ns)};
}

}  // namespace

Choice ChooseNext(std::span<const QueueEntry> queue, std::int64_t nowNs, const CoalesceLimits& limits) {
  if (queue.empty()) return {};
  if (limits.lane == Lane::kRealtime) {
    const std::size_t seed =
        First(queue, [](const QueueEntry& a, const QueueEntry& b) { return Urgency(a) < Urgency(b); });
    return Predicted(queue, WithNeighbours(queue, seed, limits.models[queue[seed].model]), limits);
  }
  const std::size_t oldest =
      First(queue, [](const QueueEntry& a, const QueueEntry& b) { return a.enqueuedNs < b.enqueuedNs; });
  if (nowNs - queue[oldest].enqueuedNs > limits.ageMaxNs) {
    return Predicted(queue, WithNeighbours(queue, oldest, limits.models[queue[oldest].model]), limits);
  }
  return Predicted(queue, DensestBatch(queue, limits.models), limits);
}

std::int64_t PaddedTokens(std::int64_t rows, const std::array<std::int64_t, 2>& lengths) {
  return rows * std::max<std::int64_t>(1, lengths[0] + lengths[1]);
}

}  // namespace interleave
