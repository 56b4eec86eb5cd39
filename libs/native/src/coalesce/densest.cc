#include "coalesce/densest.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <tuple>

#include "coalesce/batch_shape.h"

namespace interleave {
namespace {

// A run of items that are consecutive in the sorted order.
struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::int64_t realTokens = 0;
  std::int64_t paddedTokens = 1;
  std::int64_t oldestNs = 0;
  // No further item fits.
  bool isFull = false;

  // Full before not full; full ones by the share of real tokens, others by their number; then the older one.
  bool IsBetterThan(const Window& other) const {
    if (isFull != other.isFull) return isFull;
    const std::int64_t mine = isFull ? realTokens * other.paddedTokens : realTokens;
    const std::int64_t theirs = isFull ? other.realTokens * paddedTokens : other.realTokens;
    return mine != theirs ? mine > theirs : oldestNs < other.oldestNs;
  }
};

// Maximum of a sliding window, each end moving forward only; positions and values.
class SlidingMax {
 public:
  void Push(std::size_t position, std::int64_t value) {
    while (!candidates_.empty() && candidates_.back().second <= value) candidates_.pop_back();
    candidates_.emplace_back(position, value);
  }
  void DropBefore(std::size_t position) {
    while (!candidates_.empty() && candidates_.front().first < position) candidates_.pop_front();
  }
  std::int64_t Max() const { return candidates_.front().second; }

 private:
  std::deque<std::pair<std::size_t, std::int64_t>> candidates_;
};

class Search {
 public:
  Search(std::span<const QueueEntry> queue, std::span<const ModelLimits> models) : queue_(queue), models_(models) {
    order_.resize(queue.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(), [this](std::size_t a, std::size_t b) { return Key(a) < Key(b); });
  }

  std::vector<std::size_t> Best() {
    std::size_t begin = 0;
    while (begin < order_.size()) {
      const std::size_t end = GroupEnd(begin);
      if (IsAlone(At(begin), LimitsAt(begin))) {
        Offer({begin, end, 1, 1, At(begin).enqueuedNs, true});
      } else {
        SearchGroup(begin, end);
      }
      begin = end;
    }
    return {order_.begin() + static_cast<std::ptrdiff_t>(best_.begin),
            order_.begin() + static_cast<std::ptrdiff_t>(best_.end)};
  }

 private:
  const QueueEntry& At(std::size_t position) const { return queue_[order_[position]]; }
  const ModelLimits& LimitsAt(std::size_t position) const { return models_[At(position).model]; }

  // Items that may share a run are neighbours, sorted by length; items that run alone are groups of one.
  std::tuple<std::uint32_t, std::uint64_t, bool, std::int64_t, std::int64_t, std::int64_t> Key(std::size_t i) const {
    const QueueEntry& entry = queue_[i];
    return {entry.model,      entry.shapeKey,   IsAlone(entry, models_[entry.model]),
            entry.lengths[0], entry.lengths[1], entry.enqueuedNs};
  }

  std::size_t GroupEnd(std::size_t begin) const {
    std::size_t end = begin + 1;
    const ModelLimits& limits = LimitsAt(begin);
    if (IsAlone(At(begin), limits)) return end;
    while (end < order_.size() && AreCompatible(At(end), At(begin), limits) && !IsAlone(At(end), limits)) ++end;
    return end;
  }

  void SearchGroup(std::size_t begin, std::size_t end) {
    const ModelLimits& limits = LimitsAt(begin);
    SlidingMax longest;
    SlidingMax longestSecond;
    SlidingMax youngest;  // of negated times: its maximum is the oldest
    std::int64_t rows = 0;
    std::int64_t realTokens = 0;
    std::size_t left = begin;
    for (std::size_t right = begin; right < end; ++right) {
      const QueueEntry& entry = At(right);
      longest.Push(right, entry.lengths[0]);
      longestSecond.Push(right, entry.lengths[1]);
      youngest.Push(right, -entry.enqueuedNs);
      rows += entry.rows;
      realTokens += PaddedTokens(entry.rows, entry.lengths);
      while (!BatchShape{rows, {longest.Max(), longestSecond.Max()}}.Fits(limits)) {
        rows -= At(left).rows;
        realTokens -= PaddedTokens(At(left).rows, At(left).lengths);
        ++left;
        longest.DropBefore(left);
        longestSecond.DropBefore(left);
        youngest.DropBefore(left);
      }
      const std::int64_t padded = PaddedTokens(rows, {longest.Max(), longestSecond.Max()});
      const bool isFull = left > begin || IsFull(right, end, {rows, {longest.Max(), longestSecond.Max()}}, limits);
      Offer({left, right + 1, realTokens, padded, -youngest.Max(), isFull});
    }
  }

  // Nothing more fits behind `right`: the group goes on, but not in this run.
  bool IsFull(std::size_t right, std::size_t end, const BatchShape& batch, const ModelLimits& limits) const {
    if (batch.rows >= limits.rowsMax) return true;
    return right + 1 < end && !batch.With(At(right + 1)).Fits(limits);
  }

  void Offer(const Window& window) {
    if (best_.end == 0 || window.IsBetterThan(best_)) best_ = window;
  }

  std::span<const QueueEntry> queue_;
  std::span<const ModelLimits> models_;
  std::vector<std::size_t> order_;
  Window best_;
};

}  // namespace

std::vector<std::size_t> DensestBatch(std::span<const QueueEntry> queue, std::span<const ModelLimits> models) {
  return Search(queue, models).Best();
}

}  // namespace interleave
