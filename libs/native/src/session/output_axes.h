// Finds out, from the runs themselves, what the output dimensions depend on that the graph leaves unnamed. Until every
// one is known, rows of unequal lengths do not share a run: cutting a dimension back that only happens to be as long as
// the padded run would falsify answers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "session/run_layout.h"
#include "session/signature.h"

namespace interleave {

// Thread-safe: all executors of a model share one.
class OutputAxes {
 public:
  explicit OutputAxes(const Signature& signature);

  // Every dimension is known: rows of unequal lengths may share a run. Becomes false again when a run contradicts what
  // was learnt.
  bool IsSettled() const { return settled_.load(std::memory_order_relaxed); }

  // False once a run, shared or not, gave an output without one part per row: such a model runs every item alone from
  // then on.
  bool HasRows() const { return hasRows_.load(std::memory_order_relaxed); }

  // Learns from the shape of output `output` of a run with this layout and fills `axes` with what its dimensions are.
  // Returns false when the output cannot be given back item by item; the run's items must then be run one by one (a run
  // of one item never needs cutting).
  bool Observe(std::size_t output, const Shape& shape, const RunLayout& layout, std::array<Axis, kRankMax>& axes);

 private:
  // What an unnamed dimension may still be; one bit of `candidates` each.
  static constexpr unsigned kConstant = 4;  // sequence0: 1, sequence1: 2
  struct Dimension {
    std::size_t output = 0;
    std::size_t index = 0;
    unsigned candidates = 0;
    std::int64_t constant = -1;
    std::array<std::int64_t, 2> firstLengths{-1, -1};
    bool lengthsVaried[2] = {false, false};
  };

  void Learn(Dimension& dimension, std::int64_t value, const RunLayout& layout);
  bool IsKnown(const Dimension& dimension) const;
  // Replaces kUnknown in `axes` by what was learnt, if anything, after learning from `shape`.
  void LearnAndResolve(std::size_t output, const Shape& shape, const RunLayout& layout,
                       std::array<Axis, kRankMax>& axes);

  const Signature& signature_;
  std::mutex mutex_;  // guards unnamed_; held for a few comparisons only
  std::vector<Dimension> unnamed_;
  std::atomic<bool> settled_{true};
  std::atomic<bool> hasRows_{true};
  // A dimension that the graph calls a sequence axis was not as long as the run.
  std::atomic<bool> isContradicted_{false};
};

// The shape of one item's part of an output of `shape` whose dimensions are `axes`; all of it when the run was its own.
Shape PartShape(const Shape& shape, const std::array<Axis, kRankMax>& axes, const RunLayout& layout,
                const RunLayout::Part& part);

}  // namespace interleave
