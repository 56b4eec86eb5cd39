// What a run of one model costs: the measured table that every decision of the coalescer rests on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace interleave {

// Measured costs: `runNs[i][j]` is one run of `rows[j]` rows padded to `lengths[i]`. The length of a row is the sum
// over its sequence axes, 1 where the model has none.
struct CostGrid {
  std::vector<std::int64_t> lengths;  // ascending, at least one
  std::vector<std::int64_t> rows;     // ascending, the first is 1
  // 0: not measured. The first of each length is; others between are interpolated, behind the last extrapolated.
  std::vector<std::vector<double>> runNs;
};

// Immutable, so that threads may share it. Interpolates bilinearly in the logarithms of rows, length and cost; beyond
// the grid the cost grows in proportion to the tokens, below the smallest length it stays.
class CostTable {
 public:
  // Limits of a grid: beyond these the dense table would not stay in the processor's cache.
  static constexpr std::int64_t kRowsMax = 256;
  static constexpr std::int64_t kLengthMax = 1 << 20;

  // Throws std::invalid_argument that says what is wrong with the grid.
  explicit CostTable(const CostGrid& grid);

  // What holds before anything is measured: right in shape for a transformer on a CPU, its scale is left to CostRatio.
  static std::shared_ptr<const CostTable> Analytic();

  // Costs of runs padded to one length, by their rows: what the inner loop of the dynamic programme reads.
  class Curve {
   public:
    // `rows` at least 1.
    double RunNs(std::int64_t rows) const {
      return rows <= rowsMax_ ? static_cast<double>(byRows_[rows - 1]) * scale_
                              : static_cast<double>(byRows_[rowsMax_ - 1]) * scale_ * static_cast<double>(rows) /
                                    static_cast<double>(rowsMax_);
    }

   private:
    friend class CostTable;
    Curve(const float* byRows, std::int64_t rowsMax, double scale)
        : byRows_(byRows), rowsMax_(rowsMax), scale_(scale) {}
    const float* byRows_;
    std::int64_t rowsMax_;
    double scale_;
  };

  // Lives as long as the table. A length below 1 counts as 1.
  Curve At(std::int64_t length) const {
    return {dense_.data() + Index(length) * static_cast<std::size_t>(rowsMax_), rowsMax_, Beyond(length)};
  }
  double RunNs(std::int64_t rows, std::int64_t length) const { return At(length).RunNs(rows); }

  // What a row of this length costs at the least: in a run of the number of rows that suits it best.
  double BestRowNs(std::int64_t length) const {
    return static_cast<double>(bestRowNs_[Index(length)]) * Beyond(length);
  }

 private:
  std::size_t Index(std::int64_t length) const {
    return static_cast<std::size_t>((std::clamp<std::int64_t>(length, 1, lengthMax_) - 1) >> stepBits_);
  }
  double Beyond(std::int64_t length) const {
    return length <= lengthMax_ ? 1.0 : static_cast<double>(length) / static_cast<double>(lengthMax_);
  }

  std::int64_t rowsMax_ = 0;
  std::int64_t lengthMax_ = 0;
  // Entry i of the dense table stands for the lengths (i << stepBits_) + 1 to (i + 1) << stepBits_, and has the cost of
  // the longest of them.
  int stepBits_ = 0;
  std::vector<float> dense_;  // ns by length, then rows
  std::vector<float> bestRowNs_;
};

// Measured cost ÷ the table's cost. `high`: exceeded by one run in twenty.
struct CostRatio {
  double median = 1.0;
  double high = 1.3;
};

// Learns the ratio of one model from its runs: stochastic approximation of the quantiles of log(measured ÷ predicted)
// (Robbins and Monro 1951), a bounded step each, so that no outlier and no pause of the machine moves it far.
// O(1); not thread-safe.
class RatioTracker {
 public:
  // Both in ns and of the same run; a pair that is not positive is ignored. `predictedNs` is the table's value, without
  // the ratio.
  void Observe(double predictedNs, double measuredNs);
  CostRatio ratio() const;

 private:
  double logMedian_ = 0.0;
  double logSpread_ = 0.2623642644674911;  // log(1.3)
  int firstRuns_ = 0;
};

}  // namespace interleave
