// Small parts of the graphs whose rows the proof follows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/row_proof.h"
#include "test_models.h"

namespace interleave::test {

using Ints = std::vector<std::int64_t>;
using Axes = std::vector<int>;

inline constexpr graph::RowVerdict kAlone = graph::RowVerdict::kMixed;
inline constexpr graph::RowVerdict kTogether = graph::RowVerdict::kIndependent;
inline constexpr graph::RowVerdict kUnknown = graph::RowVerdict::kNotProven;

inline Graph& Numbers(Graph& graph, const std::string& name, const Ints& values) {
  return graph.Initializer<std::int64_t>(name, kInt64, {static_cast<std::int64_t>(values.size())}, values);
}
inline Graph& Number(Graph& graph, const std::string& name, std::int64_t value) {
  return graph.Initializer<std::int64_t>(name, kInt64, {}, {value});
}
inline Graph& Weights(Graph& graph, const std::string& name, const Ints& dims) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count *= dim;
  return graph.Initializer(name, kFloat, dims, Weights(static_cast<std::size_t>(count)));
}

}  // namespace interleave::test
