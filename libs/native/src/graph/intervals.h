// What operators make of numbers of which only a range is known.
#pragma once

#include <string_view>
#include <unordered_map>

#include "graph/onnx_file.h"
#include "graph/value.h"

namespace interleave::graph {

// The least one that holds both.
Interval Hull(const Interval& a, const Interval& b);
// Of "not": 1 for 0, 0 for any other number.
Interval Negated(const Interval& a);

using Combine = Interval (*)(const Interval&, const Interval&);
// Operators of two numbers, by name.
const std::unordered_map<std::string_view, Combine>& Combinations();
bool IsComparison(std::string_view op);

// Range of the numbers of a tensor of half precision, which are not followed one by one. Everything for another type or
// a large tensor.
Interval RangeOfHalves(const Tensor& tensor);

}  // namespace interleave::graph
