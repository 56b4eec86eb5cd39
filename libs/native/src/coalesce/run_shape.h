// The run that a choice adds up to, while it is being chosen.
#pragma once

#include <algorithm>

#include "coalesce/coalescer.h"

namespace interleave {

// What a row padded to `lengths` counts: the sum over its sequence axes, 1 without one.
inline std::int64_t TokensOfRow(const std::array<std::int64_t, 2>& lengths) {
  return std::max<std::int64_t>(1, lengths[0] + lengths[1]);
}

struct RunShape {
  std::int64_t rows = 0;
  std::array<std::int64_t, 2> lengths{};
  bool mayBePadded = true;
  bool padsWhatMayNotBe = false;

  RunShape With(const RunShape& other) const {
    RunShape both{.rows = rows + other.rows,
                  .lengths = {std::max(lengths[0], other.lengths[0]), std::max(lengths[1], other.lengths[1])},
                  .mayBePadded = mayBePadded && other.mayBePadded};
    both.padsWhatMayNotBe = padsWhatMayNotBe || other.padsWhatMayNotBe || (!mayBePadded && both.lengths != lengths) ||
                            (!other.mayBePadded && both.lengths != other.lengths);
    return both;
  }
  // What does not fit, does not with one more item either.
  bool Fits(const ModelLimits& limits) const {
    return !padsWhatMayNotBe && rows <= limits.rowsMax && rows * TokensOfRow(lengths) <= limits.tokensMax;
  }
};

// Runs by itself: asked to, or too large to share.
inline bool IsAlone(const QueueEntry& entry, const ModelLimits& limits) {
  return entry.alone || !RunShape{.rows = entry.rows, .lengths = entry.lengths}.Fits(limits);
}

// The two may share a run as far as model, haste, shapes and equal lengths go.
inline bool AreCompatible(const QueueEntry& a, const QueueEntry& b, const ModelLimits& limits) {
  return a.model == b.model && a.ahead == b.ahead && a.shapeKey == b.shapeKey &&
         (!limits.equalLengths || a.lengths == b.lengths);
}

}  // namespace interleave
