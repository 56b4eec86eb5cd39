// What an answer owes to the length that its row is padded to.
#include <gtest/gtest.h>

#include <functional>

#include "graph/row_proof.h"
#include "test_models.h"

namespace interleave {
namespace {

using graph::ProveRows;
using graph::RowProof;
using graph::RowVerdict;
using test::Graph;
using test::kFloat;
using test::kInt64;

// x [batch, tokens] -> y, with the number of tokens as "length", and the numbers 0, 1 and 100.
RowProof OfTokens(const std::function<void(Graph&)>& build) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "tokens"}).Output("y", kFloat, {"batch", "tokens"});
  for (const int number : {0, 1, 100}) graph.Initializer<std::int64_t>(std::to_string(number), kInt64, {}, {number});
  graph.Node("Shape", {"x"}, {"s"}).Node("Gather", {"s", "1"}, {"length"}).Node("Cast", {"length"}, {"size"}, {{"to", kFloat}});
  build(graph);
  return ProveRows(graph.Model().bytes());
}

TEST(PaddedLength, IsSeenWhereItReachesAnAnswer) {
  const std::vector<std::pair<const char*, std::function<void(Graph&)>>> cases{
      {"a factor", [](Graph& g) { g.Node("Mul", {"x", "size"}, {"y"}); }},
      {"a function of it", [](Graph& g) { g.Node("Sin", {"size"}, {"sine"}).Node("Add", {"x", "sine"}, {"y"}); }},
      {"a factor for long rows",
       [](Graph& g) {
         g.Initializer("2f", kFloat, {}, std::vector<float>{2}).Initializer("1f", kFloat, {}, std::vector<float>{1});
         g.Node("Greater", {"length", "100"}, {"long"}).Node("Where", {"long", "2f", "1f"}, {"k"}).Node("Mul", {"x", "k"}, {"y"});
       }},
      {"a term for one rare token",
       [](Graph& g) {
         g.Initializer("rare", kFloat, {}, std::vector<float>{4321}).Initializer("0f", kFloat, {}, std::vector<float>{0});
         g.Node("Equal", {"x", "rare"}, {"is"}).Node("Where", {"is", "size", "0f"}, {"term"}).Node("Add", {"x", "term"}, {"y"});
       }},
      {"a branch for long rows",
       [](Graph& g) {
         const Graph yes = Graph("yes").Output("a", kFloat, {"batch", "tokens"}).Node("Sin", {"x"}, {"a"});
         const Graph no = Graph("no").Output("b", kFloat, {"batch", "tokens"}).Node("Cos", {"x"}, {"b"});
         g.Node("Greater", {"length", "100"}, {"long"}).Node("If", {"long"}, {"y"}, {{"then_branch", yes.message()}, {"else_branch", no.message()}});
       }},
  };
  for (const auto& [name, build] : cases) {
    const RowProof proof = OfTokens(build);
    EXPECT_EQ(proof.verdict, RowVerdict::kIndependent) << name << ": " << proof.reason;
    EXPECT_FALSE(proof.lengthUse.empty()) << name;
  }
}

TEST(PaddedLength, LeavesPlacesAndShapesAlone) {
  const std::vector<std::pair<const char*, std::function<void(Graph&)>>> cases{
      {"positions",
       [](Graph& g) {
         g.Node("Range", {"0", "length", "1"}, {"at"}).Node("Cast", {"at"}, {"places"}, {{"to", kFloat}}).Node("Add", {"x", "places"}, {"y"});
       }},
      {"a part of a table",
       [](Graph& g) {
         g.Initializer("table", kFloat, {512}, std::vector<float>(512, 1.0F)).Initializer<std::int64_t>("one", kInt64, {1}, {1});
         g.Initializer<std::int64_t>("zero", kInt64, {1}, {0}).Node("Gather", {"s", "one"}, {"end"});
         g.Node("Slice", {"table", "zero", "end"}, {"part"}).Node("Add", {"x", "part"}, {"y"});
       }},
      {"there and back",
       [](Graph& g) {
         g.Initializer<std::int64_t>("form", kInt64, {3}, {0, -1, 1}).Node("Reshape", {"x", "form"}, {"a"}).Node("Sin", {"a"}, {"b"});
         g.Node("Reshape", {"b", "s"}, {"y"});
       }},
  };
  for (const auto& [name, build] : cases) {
    const RowProof proof = OfTokens(build);
    EXPECT_EQ(proof.verdict, RowVerdict::kIndependent) << name << ": " << proof.reason;
    EXPECT_EQ(proof.lengthUse, "") << name;
  }
}

}  // namespace
}  // namespace interleave
