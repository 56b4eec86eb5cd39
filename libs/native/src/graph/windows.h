// Operators that take places of a length by windows, parts or chunks: what padding does to them shows only in rows
// longer than those, which made-up rows need not be.
#pragma once

#include <string_view>

#include "graph/call.h"

namespace interleave::graph {

// What an operator does with the places of a length of its first input, where made-up rows may be too short to show
// what padding does to it; empty: nothing of the kind. `stride`: of how many places of the model's input one place is
// made, as far as windows before it say; it is taken further. Precondition: outputs have been set by the operator's
// rule.
std::string_view WindowUse(Call& call, double& stride);

}  // namespace interleave::graph
