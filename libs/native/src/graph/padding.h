// Follows masks and token ids to where they meet data: whether an answer could depend on what rows are padded with, in
// a way that made-up rows need not show.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "graph/call.h"

namespace interleave::graph {

struct PaddingUse {
  std::string reason;  // the first found, see RowProof::paddingUse
  // Inputs of token ids, and by what name the tables are known that they are looked up in.
  std::set<std::pair<std::string_view, std::string_view>> lookups;
  double stride = 1;  // of how many places of the inputs windows have made one, all together
};

// Fills Value::padding of the outputs of an operator once its rule has given them.
void FollowPadding(Call& call, PaddingUse& use);

// Padding of a value that is one or the other.
Padding EitherPadding(const Padding& a, const Padding& b);

}  // namespace interleave::graph
