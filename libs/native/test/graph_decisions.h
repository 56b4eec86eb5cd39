// Graphs that decide between a branch whose rows are independent and one that mixes them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/row_proof.h"
#include "test_models.h"

namespace interleave::test {

using Build = std::function<void(Graph&)>;

// x [batch, tokens, 4] -> y, by "condition" that `build` adds; the mixing branch is the one for true or the one for
// false. Knows "s", the shape of x, "n", the number of rows, "length" and the integers 0, 1, 2, 3 and 5.
inline Graph Deciding(const Build& build, bool mixesIfTrue) {
  const Dims dims{"batch", "tokens", 4};
  const Graph mixing = Graph("mixing")
                           .Output("a", kFloat, dims)
                           .Node("ReduceMean", {"x"}, {"m"}, {{"axes", std::vector<int>{0}}})
                           .Node("Add", {"x", "m"}, {"a"});
  const Graph apart = Graph("apart").Output("b", kFloat, dims).Node("Sin", {"x"}, {"b"});
  Graph graph;
  graph.Input("x", kFloat, dims).Output("y", kFloat, dims);
  for (const int number : {0, 1, 2, 3, 5})
    graph.Initializer<std::int64_t>(std::to_string(number), kInt64, {}, {number});
  graph.Node("Shape", {"x"}, {"s"}).Node("Gather", {"s", "0"}, {"n"}).Node("Gather", {"s", "1"}, {"length"});
  build(graph);
  const Graph &yes = mixesIfTrue ? mixing : apart, &no = mixesIfTrue ? apart : mixing;
  graph.Node("If", {"condition"}, {"y"}, {{"then_branch", yes.message()}, {"else_branch", no.message()}});
  return graph;
}

inline graph::RowVerdict VerdictOf(const Build& build, bool mixesIfTrue) {
  return graph::ProveRows(Deciding(build, mixesIfTrue).Model().bytes()).verdict;
}

}  // namespace interleave::test
