// The measured costs and the length mixes that the coalescer is judged by.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "coalesce/cost_table.h"

namespace interleave::test {

// A 6-layer, 384-wide fp32 encoder with ONNX Runtime 1.30.0 on one core, median ms by length and rows 1, 2, ... 32
// (docs/scheduling.md §1).
inline std::shared_ptr<const CostTable> EncoderCosts() {
  CostGrid grid{.lengths = {8, 16, 32, 64, 128, 256},
                .rows = {1, 2, 4, 8, 16, 32},
                .runNs = {{3.70, 5.81, 9.21, 18.2, 32.3, 66.0},
                          {5.78, 9.73, 17.6, 33.0, 67.5, 134},
                          {10.2, 17.9, 35.4, 70.8, 140, 296},
                          {18.1, 36.7, 71.1, 138, 282, 628},
                          {36.3, 70.7, 136, 285, 588, 1309},
                          {70.7, 147, 301, 709, 1537, 0}}};
  for (std::vector<double>& runNs : grid.runNs) {
    for (double& value : runNs) value *= 1e6;
  }
  return std::make_shared<const CostTable>(grid);
}

// Lengths in tokens.
enum class Mix { kLognormal, kUniform, kShort };

inline std::string NameOf(Mix mix) {
  return mix == Mix::kLognormal ? "lognormal, median 40" : mix == Mix::kUniform ? "uniform 8-256" : "short, median 14";
}

inline std::int64_t DrawLength(Mix mix, std::mt19937& random) {
  if (mix == Mix::kUniform) return std::uniform_int_distribution<std::int64_t>(8, 256)(random);
  const double median = mix == Mix::kLognormal ? 40 : 14;
  const double sigma = mix == Mix::kLognormal ? 0.8 : 0.4;
  const double length = std::lognormal_distribution<double>(std::log(median), sigma)(random);
  return std::clamp<std::int64_t>(std::llround(length), 4, 256);
}

}  // namespace interleave::test
