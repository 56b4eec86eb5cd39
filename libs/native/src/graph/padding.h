// Follows masks and token ids to where they meet data: whether an answer could depend on what rows are padded with, in a way that
// made-up rows need not show.
#pragma once

#include <string>

#include "graph/call.h"

namespace interleave::graph {

// Fills Value::padding of the outputs of an operator that takes data, once its rule has given them; `use` becomes the first
// reason found, see RowProof::paddingUse.
void FollowPadding(Call& call, std::string& use);

// Of a value that is one or the other.
Padding EitherPadding(const Padding& a, const Padding& b);

}  // namespace interleave::graph
