// The rules of operators, by kind. Each says for its operators where the rows lie in the outputs, or that they meet.
#pragma once

#include "graph/call.h"

namespace interleave::graph {

void AddElementwiseRules(Rules& rules);
void AddShapeRules(Rules& rules);
void AddIndexRules(Rules& rules);
void AddReductionRules(Rules& rules);
void AddLinearRules(Rules& rules);
void AddImageRules(Rules& rules);
void AddRecurrentRules(Rules& rules);
// Rules of the domain ai.onnx.ml.
void AddTableRules(Rules& rules);
// Rules of the domain com.microsoft, where ONNX's own domain has no operator of the name.
void AddContribRules(Rules& rules);

// Rules that several kinds share.
void SameAsFirst(Call& call);  // element by element; further inputs are parameters that are the same for all rows
void Elementwise(Call& call);  // element by element over all inputs
void MatMul(Call& call);
void Softmax(Call& call);
// Shape of a product of matrices, as numpy defines it.
Numbers MatMulShape(const Call& call, const Numbers& a, const Numbers& b);

// Calls `visit(index, source)` for each element of a tensor of `dims`, `source` being the element of a tensor of `from`
// that is repeated to it.
std::vector<std::size_t> BroadcastSources(const Numbers& dims, const Numbers& from);

}  // namespace interleave::graph
