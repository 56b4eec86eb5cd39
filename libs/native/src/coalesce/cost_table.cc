#include "coalesce/cost_table.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace interleave {
namespace {

// Entries of the dense table along the length: exact up to here, coarser steps for models with longer rows.
constexpr std::int64_t kDenseLengthsMax = 4096;

void Require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument("cost table: " + message);
}

void CheckAxis(const std::vector<std::int64_t>& values, const std::string& name, std::int64_t maximum) {
  Require(!values.empty(), "expected at least one entry in " + name + " but received none");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t least = i == 0 ? 1 : values[i - 1] + 1;
    Require(values[i] >= least && values[i] <= maximum,
            name + "[" + std::to_string(i) + "]: expected ascending integers of 1 to " + std::to_string(maximum) +
                " but received " + std::to_string(values[i]));
  }
}

// What the dense table holds as floats and sums of it still hold as integers: eleven days.
constexpr double kRunNsMax = 1e15;

void Check(const CostGrid& grid) {
  CheckAxis(grid.lengths, "lengths", CostTable::kLengthMax);
  CheckAxis(grid.rows, "rows", CostTable::kRowsMax);
  Require(grid.rows[0] == 1, "rows[0]: expected 1 but received " + std::to_string(grid.rows[0]));
  Require(grid.runNs.size() == grid.lengths.size(), "runNs: expected one list for each of the " +
                                                        std::to_string(grid.lengths.size()) + " lengths but received " +
                                                        std::to_string(grid.runNs.size()));
  for (std::size_t i = 0; i < grid.lengths.size(); ++i) {
    const std::string at = "runNs[" + std::to_string(i) + "]";
    Require(grid.runNs[i].size() == grid.rows.size(), at + ": expected " + std::to_string(grid.rows.size()) +
                                                          " values, one for each entry of rows, but received " +
                                                          std::to_string(grid.runNs[i].size()));
    Require(grid.runNs[i][0] > 0,
            at + "[0]: expected the measured ns of one row but received " + std::to_string(grid.runNs[i][0]));
    for (const double ns : grid.runNs[i]) {
      Require(ns == 0 || (ns >= 1 && ns <= kRunNsMax), at +
                                                           ": expected 1 to 1e15 ns, or 0 for what is not measured, "
                                                           "but received " +
                                                           std::to_string(ns));
    }
  }
}

// log(cost) of 1, 2, ... rowsMax rows out of the measured ones.
std::vector<double> LogCosts(const std::vector<std::int64_t>& rows, const std::vector<double>& runNs) {
  std::vector<double> logNs{std::log(runNs[0])};
  for (std::size_t j = 1; j < rows.size(); ++j) {
    if (runNs[j] == 0) continue;
    const auto from = static_cast<double>(logNs.size());
    const double fromNs = logNs.back();
    const double slope = (std::log(runNs[j]) - fromNs) / std::log(static_cast<double>(rows[j]) / from);
    for (double row = from + 1; row <= static_cast<double>(rows[j]); ++row) {
      logNs.push_back(fromNs + slope * std::log(row / from));
    }
  }
  const auto measured = static_cast<double>(logNs.size());
  const double lastNs = logNs.back();
  for (double row = measured + 1; row <= static_cast<double>(rows.back()); ++row) {
    logNs.push_back(lastNs + std::log(row / measured));
  }
  return logNs;
}

}  // namespace

CostTable::CostTable(const CostGrid& grid) {
  Check(grid);
  rowsMax_ = grid.rows.back();
  lengthMax_ = grid.lengths.back();
  while (((lengthMax_ - 1) >> stepBits_) >= kDenseLengthsMax) ++stepBits_;
  std::vector<std::vector<double>> logNs;
  for (const std::vector<double>& runNs : grid.runNs) logNs.push_back(LogCosts(grid.rows, runNs));

  const std::size_t entries = Index(lengthMax_) + 1;
  dense_.reserve(entries * static_cast<std::size_t>(rowsMax_));
  std::size_t upper = 0;
  for (std::size_t entry = 0; entry < entries; ++entry) {
    const std::int64_t length =
        std::clamp(static_cast<std::int64_t>(entry + 1) << stepBits_, grid.lengths.front(), lengthMax_);
    while (grid.lengths[upper] < length) ++upper;
    const std::size_t lower = upper == 0 ? 0 : upper - 1;
    const auto lowerLength = static_cast<double>(grid.lengths[lower]);
    const double share = upper == lower ? 0.0
                                        : std::log(static_cast<double>(length) / lowerLength) /
                                              std::log(static_cast<double>(grid.lengths[upper]) / lowerLength);
    float best = INFINITY;
    for (std::size_t row = 0; row < static_cast<std::size_t>(rowsMax_); ++row) {
      const double ns = std::exp(logNs[lower][row] + share * (logNs[upper][row] - logNs[lower][row]));
      dense_.push_back(static_cast<float>(ns));
      best = std::min(best, dense_.back() / static_cast<float>(row + 1));
    }
    bestRowNs_.push_back(best);
  }
}

std::shared_ptr<const CostTable> CostTable::Analytic() {
  // Fitted to the table of a 6-layer, 384-wide fp32 encoder (docs/scheduling.md §1): 1.4 ms a run and 0.27 ms a
  // token, from 512 tokens on 8 % more with each doubling, where the activations leave the cache.
  constexpr double kRunNs = 1.4e6;
  constexpr double kTokenNs = 0.27e6;
  constexpr double kKneeTokens = 512;
  constexpr double kPerDoubling = 0.08;
  static const auto table = [] {
    CostGrid grid{.lengths = {}, .rows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}, .runNs = {}};
    for (std::int64_t length = 1; length <= 4096; length *= 2) {
      grid.lengths.push_back(length);
      grid.runNs.emplace_back();
      for (const std::int64_t rows : grid.rows) {
        const auto tokens = static_cast<double>(rows * length);
        const double doublings = std::max(0.0, std::log2(tokens / kKneeTokens));
        grid.runNs.back().push_back(kRunNs + kTokenNs * tokens * (1 + kPerDoubling * doublings));
      }
    }
    return std::make_shared<const CostTable>(grid);
  }();
  return table;
}

namespace {

// The first runs set the scale: the mean of their logarithms. From then on the steps are small.
constexpr int kFirstRuns = 8;
constexpr double kMedianStep = 0.02;
constexpr double kSpreadStep = 0.02;
constexpr double kHighQuantile = 0.95;
// Ratios beyond e^±7 (a factor of 1 000) are faults of a clock, not of a table.
constexpr double kLogRatioMax = 7.0;
const double kLogSpreadMin = std::log(1.05);
const double kLogSpreadMax = std::log(3.0);

}  // namespace

void RatioTracker::Observe(double predictedNs, double measuredNs) {
  if (!(predictedNs > 0 && measuredNs > 0)) return;
  const double logRatio = std::clamp(std::log(measuredNs / predictedNs), -kLogRatioMax, kLogRatioMax);
  if (firstRuns_ < kFirstRuns) {
    ++firstRuns_;
    logMedian_ += (logRatio - logMedian_) / firstRuns_;
    return;
  }
  const double deviation = logRatio - logMedian_;
  const bool exceeds = deviation > logSpread_;
  logMedian_ += std::clamp(deviation, -kMedianStep, kMedianStep);
  logSpread_ += kSpreadStep * (exceeds ? kHighQuantile : kHighQuantile - 1);
  logSpread_ = std::clamp(logSpread_, kLogSpreadMin, kLogSpreadMax);
}

CostRatio RatioTracker::ratio() const { return {std::exp(logMedian_), std::exp(logMedian_ + logSpread_)}; }

}  // namespace interleave
