// What runs of one model cost, as far as it is known: the table, and how measured runs compare with it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "coalesce/cost_table.h"

namespace interleave {

// Thread-safe. The lock is held for a few instructions only.
class ModelCosts {
 public:
  // `generation` of its first table.
  explicit ModelCosts(std::uint8_t generation = 0) : generation_(generation) {}

  struct Snapshot {
    std::shared_ptr<const CostTable> table;  // never null
    std::shared_ptr<const CostGrid> grid;    // null: the analytic table holds
    CostRatio ratio;
  };
  Snapshot Now() const;

  // Replaces the table and forgets the ratio, which was that of the old one. Throws std::invalid_argument that says
  // what is wrong with the grid.
  void SetGrid(CostGrid grid);

  struct Observation {
    double ofExpected = 1;        // the measured cost, divided by what was expected before
    double tableNs = 0;           // what the table says
    std::uint8_t generation = 0;  // of the table
  };
  // Learns from a run of `rows` rows padded to `length` tokens each; below 1 counts as 1.
  Observation Observe(std::int64_t rows, std::int64_t length, std::int64_t measuredNs);

  // From how much CPU time on such a run counts as hung: kHangFactor times what one run in twenty exceeds, at least
  // kHangNsMin, so that noise ends no short run. A run that several items share is ended from kSharedHangNsMin on: each
  // runs alone then. Before costs are measured: kHangFactor times the longest of at least kHangRunsMin runs, for runs
  // of no more tokens and no longer rows than those had. Unlimited else.
  std::int64_t HangNs(std::int64_t rows, std::int64_t length, bool isShared) const;
  static constexpr double kHangFactor = 5;
  static constexpr std::int64_t kHangNsMin = 1'000'000'000;
  static constexpr std::int64_t kSharedHangNsMin = 200'000'000;
  static constexpr std::int64_t kHangRunsMin = 20;

  std::uint8_t generation() const;

  // The ratio has moved by more than 5 % since this last returned true.
  bool TakeRatioMove();

 private:
  mutable std::mutex mutex_;  // guards the rest
  std::shared_ptr<const CostTable> table_ = CostTable::Analytic();
  std::shared_ptr<const CostGrid> grid_;
  std::uint8_t generation_;
  RatioTracker tracker_;
  CostRatio told_;
  // Of the runs that ended well, since the worker started.
  struct Seen {
    std::int64_t runs = 0;
    std::int64_t tokensMax = 0;  // rows times length
    std::int64_t lengthMax = 0;
    std::int64_t nsMax = 0;
  } seen_;
};

}  // namespace interleave
