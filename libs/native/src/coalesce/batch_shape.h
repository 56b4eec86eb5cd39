// The run that a choice adds up to, while it is being chosen.
#pragma once

#include <algorithm>

#include "coalesce/coalescer.h"

namespace interleave {

struct BatchShape {
  std::int64_t rows = 0;
  std::array<std::int64_t, 2> lengths{};

  BatchShape With(const QueueEntry& entry) const {
    return {rows + entry.rows,
            {std::max(lengths[0], entry.lengths[0]), std::max(lengths[1], entry.lengths[1])}};
  }
  bool Fits(const ModelLimits& limits) const {
    return rows <= limits.rowsMax && PaddedTokens(rows, lengths) <= limits.tokensMax;
  }
};

// Runs by itself: asked to, or too large to share.
inline bool IsAlone(const QueueEntry& entry, const ModelLimits& limits) {
  return entry.alone || !BatchShape{}.With(entry).Fits(limits);
}

// The two may share a run as far as model, shapes and equal lengths go.
inline bool AreCompatible(const QueueEntry& a, const QueueEntry& b, const ModelLimits& limits) {
  return a.model == b.model && a.shapeKey == b.shapeKey && (!limits.equalLengths || a.lengths == b.lengths);
}

}  // namespace interleave
