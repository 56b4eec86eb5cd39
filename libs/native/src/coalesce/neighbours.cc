#include "coalesce/neighbours.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "coalesce/batch_shape.h"

namespace interleave {
namespace {

constexpr std::int64_t kLengthStep = 8;

struct Candidate {
  std::int64_t distance = 0;
  std::int64_t deadlineNs = 0;
  std::int64_t enqueuedNs = 0;
  std::size_t index = 0;

  bool operator<(const Candidate& other) const {
    return std::tie(distance, deadlineNs, enqueuedNs, index) <
           std::tie(other.distance, other.deadlineNs, other.enqueuedNs, other.index);
  }
};

bool IsClose(const QueueEntry& entry, const QueueEntry& seed) {
  for (std::size_t k = 0; k < seed.lengths.size(); ++k) {
    const std::int64_t length = seed.lengths[k];
    const std::int64_t longest = (length + kLengthStep - 1) / kLengthStep * kLengthStep;
    if (entry.lengths[k] * 2 < length || entry.lengths[k] > longest) return false;
  }
  return true;
}

std::int64_t Distance(const QueueEntry& a, const QueueEntry& b) {
  return std::abs(a.lengths[0] - b.lengths[0]) + std::abs(a.lengths[1] - b.lengths[1]);
}

std::vector<Candidate> Candidates(std::span<const QueueEntry> queue, std::size_t seed, const ModelLimits& limits) {
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < queue.size(); ++i) {
    const QueueEntry& entry = queue[i];
    if (i == seed || !AreCompatible(entry, queue[seed], limits) || !IsClose(entry, queue[seed])) continue;
    if (IsAlone(entry, limits)) continue;
    const std::int64_t deadline = entry.deadlineNs == 0 ? INT64_MAX : entry.deadlineNs;
    candidates.push_back({Distance(entry, queue[seed]), deadline, entry.enqueuedNs, i});
  }
  return candidates;
}

}  // namespace

std::vector<std::size_t> WithNeighbours(std::span<const QueueEntry> queue, std::size_t seed,
                                        const ModelLimits& limits) {
  std::vector<std::size_t> chosen{seed};
  if (IsAlone(queue[seed], limits)) return chosen;
  std::vector<Candidate> candidates = Candidates(queue, seed, limits);
  // Every item has a row, so that only the closest `rowsMax` can be taken: no need to sort the others.
  const std::size_t sorted = std::min(candidates.size(), static_cast<std::size_t>(limits.rowsMax));
  const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
  if (end != candidates.end()) std::nth_element(candidates.begin(), end, candidates.end());
  std::sort(candidates.begin(), end);

  BatchShape batch = BatchShape{}.With(queue[seed]);
  for (auto candidate = candidates.begin(); candidate != end; ++candidate) {
    const BatchShape next = batch.With(queue[candidate->index]);
    if (!next.Fits(limits)) continue;
    batch = next;
    chosen.push_back(candidate->index);
  }
  return chosen;
}

}  // namespace interleave
