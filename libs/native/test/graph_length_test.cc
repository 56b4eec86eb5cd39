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
  graph.Node("Shape", {"x"}, {"s"})
      .Node("Gather", {"s", "1"}, {"length"})
      .Node("Cast", {"length"}, {"size"}, {{"to", kFloat}});
  build(graph);
  return ProveRows(graph.Model().bytes());
}

// A factor for rows of more than 100 tokens; `last` is the place of the last one.
void ScaleLong(Graph& g, const char* last) {
  g.Initializer("2f", kFloat, {}, std::vector<float>{2})
      .Initializer("1f", kFloat, {}, std::vector<float>{1})
      .Initializer("100f", kFloat, {}, std::vector<float>{100});
  g.Node("Cast", {last}, {"at"}, {{"to", kFloat}})
      .Node("Greater", {"at", "100f"}, {"long"})
      .Node("Where", {"long", "2f", "1f"}, {"k"})
      .Node("Mul", {"x", "k"}, {"y"});
}
Graph& Places(Graph& g) { return g.Node("Range", {"0", "length", "1"}, {"places"}); }
Graph& Ones(Graph& g) {
  g.Initializer<std::int64_t>("one", kInt64, {1}, {1})
      .Node("Gather", {"s", "one"}, {"form"})
      .Initializer("onef", kFloat, {1}, std::vector<float>{1});
  return g.Node("Expand", {"onef", "form"}, {"ones"});
}

TEST(PaddedLength, IsSeenInWhatIsMadeOfPlaces) {
  const std::vector<int> axis{0}, rowAxis{1};
  const std::vector<std::pair<const char*, std::function<void(Graph&)>>> cases{
      {"the largest place",
       [&](Graph& g) {
         Places(g).Node("ReduceMax", {"places"}, {"last"}, {{"keepdims", 0}});
       }},
      {"where it is",
       [&](Graph& g) {
         Places(g).Node("ArgMax", {"places"}, {"last"}, {{"keepdims", 0}});
       }},
      {"the place at the end",
       [&](Graph& g) {
         Places(g).Initializer<std::int64_t>("end", kInt64, {}, {-1}).Node("Gather", {"places", "end"}, {"last"});
       }},
      {"a slice of the end",
       [&](Graph& g) {
         Places(g)
             .Initializer<std::int64_t>("end", kInt64, {1}, {-1})
             .Initializer<std::int64_t>("far", kInt64, {1}, {1 << 30})
             .Node("Slice", {"places", "end", "far"}, {"last"});
       }},
      {"the largest size",
       [&](Graph& g) {
         g.Node("Shape", {"x"}, {"sizes"}, {{"start", 1}}).Node("ReduceMax", {"sizes"}, {"last"}, {{"keepdims", 0}});
       }},
      {"a sum of ones",
       [&](Graph& g) {
         Ones(g).Node("ReduceSum", {"ones"}, {"last"}, {{"keepdims", 0}});
       }},
      {"a product of ones",
       [&](Graph& g) {
         Ones(g).Node("MatMul", {"ones", "ones"}, {"last"});
       }},
      {"the end of a running sum",
       [&](Graph& g) {
         Ones(g)
             .Initializer<std::int64_t>("end", kInt64, {}, {-1})
             .Node("CumSum", {"ones", "0"}, {"sums"})
             .Node("Gather", {"sums", "end"}, {"last"});
       }},
      {"a running sum from the end",
       [&](Graph& g) {
         Ones(g).Node("CumSum", {"ones", "0"}, {"sums"}, {{"reverse", 1}}).Node("Gather", {"sums", "0"}, {"last"});
       }},
      {"the largest place of each row",
       [&](Graph& g) {
         Places(g)
             .Node("Expand", {"places", "s"}, {"all"})
             .Node("ReduceMax", {"all"}, {"last"}, {{"axes", rowAxis}, {"keepdims", 1}});
       }},
      {"the row of a table at the end",
       [&](Graph& g) {
         std::vector<float> table(512);
         for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i);
         g.Initializer("table", kFloat, {512}, table)
             .Initializer<std::int64_t>("one", kInt64, {1}, {1})
             .Node("Gather", {"s", "one"}, {"to"});
         g.Node("Sub", {"to", "one"}, {"from"}).Node("Slice", {"table", "from", "to"}, {"last"});
       }},
      {"places counted from the end",
       [&](Graph& g) {
         g.Initializer<std::int64_t>("back", kInt64, {}, {-1})
             .Node("Sub", {"length", "1"}, {"top"})
             .Node("Range", {"top", "back", "back"}, {"last"});
       }},
      {"a mark at the end",
       [&](Graph& g) {
         g.Initializer<std::int64_t>("one", kInt64, {1}, {1})
             .Node("Sub", {"length", "1"}, {"top"})
             .Node("Range", {"0", "top", "1"}, {"most"})
             .Node("Mul", {"most", "0"}, {"zeros"});
         g.Initializer<std::int64_t>("mark", kInt64, {1}, {500})
             .Node("Concat", {"zeros", "mark"}, {"last"}, {{"axis", 0}});
       }},
  };
  for (const auto& [name, build] : cases) {
    const RowProof proof = OfTokens([&build = build](Graph& graph) {
      build(graph);
      ScaleLong(graph, "last");
    });
    EXPECT_EQ(proof.verdict, RowVerdict::kIndependent) << name << ": " << proof.reason;
    EXPECT_FALSE(proof.lengthUse.empty()) << name;
  }
}

TEST(PaddedLength, IsSeenWhereItReachesAnAnswer) {
  const std::vector<std::pair<const char*, std::function<void(Graph&)>>> cases{
      {"a factor",
       [](Graph& g) {
         g.Node("Mul", {"x", "size"}, {"y"});
       }},
      {"a function of it",
       [](Graph& g) {
         g.Node("Sin", {"size"}, {"sine"}).Node("Add", {"x", "sine"}, {"y"});
       }},
      {"a factor for long rows",
       [](Graph& g) {
         g.Initializer("2f", kFloat, {}, std::vector<float>{2}).Initializer("1f", kFloat, {}, std::vector<float>{1});
         g.Node("Greater", {"length", "100"}, {"long"})
             .Node("Where", {"long", "2f", "1f"}, {"k"})
             .Node("Mul", {"x", "k"}, {"y"});
       }},
      {"a term for one rare token",
       [](Graph& g) {
         g.Initializer("rare", kFloat, {}, std::vector<float>{4321})
             .Initializer("0f", kFloat, {}, std::vector<float>{0});
         g.Node("Equal", {"x", "rare"}, {"is"})
             .Node("Where", {"is", "size", "0f"}, {"term"})
             .Node("Add", {"x", "term"}, {"y"});
       }},
      {"a branch for long rows",
       [](Graph& g) {
         const Graph yes = Graph("yes").Output("a", kFloat, {"batch", "tokens"}).Node("Sin", {"x"}, {"a"});
         const Graph no = Graph("no").Output("b", kFloat, {"batch", "tokens"}).Node("Cos", {"x"}, {"b"});
         g.Node("Greater", {"length", "100"}, {"long"})
             .Node("If", {"long"}, {"y"}, {{"then_branch", yes.message()}, {"else_branch", no.message()}});
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
         g.Node("Range", {"0", "length", "1"}, {"at"})
             .Node("Cast", {"at"}, {"places"}, {{"to", kFloat}})
             .Node("Add", {"x", "places"}, {"y"});
       }},
      {"a part of a table",
       [](Graph& g) {
         g.Initializer("table", kFloat, {512}, std::vector<float>(512, 1.0F))
             .Initializer<std::int64_t>("one", kInt64, {1}, {1});
         g.Initializer<std::int64_t>("zero", kInt64, {1}, {0}).Node("Gather", {"s", "one"}, {"end"});
         g.Node("Slice", {"table", "zero", "end"}, {"part"}).Node("Add", {"x", "part"}, {"y"});
       }},
      {"a table of a table",
       [](Graph& g) {
         g.Initializer<std::int64_t>("kinds", kInt64, {512}, std::vector<std::int64_t>(512, 1))
             .Initializer("table", kFloat, {4}, std::vector<float>(4, 1.0F));
         g.Node("Range", {"0", "length", "1"}, {"at"})
             .Node("GatherElements", {"kinds", "at"}, {"kind"})
             .Node("Gather", {"table", "kind"}, {"part"});
         g.Node("Add", {"x", "part"}, {"y"});
       }},
      {"angles of positions",
       [](Graph& g) {
         g.Initializer<std::int64_t>("last", kInt64, {1}, {1})
             .Initializer("speeds", kFloat, {1, 1}, std::vector<float>{0.5F})
             .Node("Range", {"0", "length", "1"}, {"at"});
         g.Node("Cast", {"at"}, {"places"}, {{"to", kFloat}})
             .Node("Unsqueeze", {"places", "last"}, {"column"})
             .Node("MatMul", {"column", "speeds"}, {"angles"});
         g.Node("Cos", {"angles"}, {"cosines"})
             .Node("Squeeze", {"cosines", "last"}, {"row"})
             .Node("Mul", {"x", "row"}, {"y"});
       }},
      {"the root of a fixed size",
       [](Graph& g) {
         g.Initializer<std::int64_t>("form", kInt64, {3}, {0, -1, 1})
             .Node("Reshape", {"x", "form"}, {"a"})
             .Node("Shape", {"a"}, {"t"});
         g.Initializer<std::int64_t>("two", kInt64, {}, {2})
             .Node("Gather", {"t", "two"}, {"width"})
             .Node("Cast", {"width"}, {"w"}, {{"to", kFloat}});
         g.Node("Sqrt", {"w"}, {"root"}).Node("Div", {"x", "root"}, {"y"});
       }},
      {"there and back",
       [](Graph& g) {
         g.Initializer<std::int64_t>("form", kInt64, {3}, {0, -1, 1})
             .Node("Reshape", {"x", "form"}, {"a"})
             .Node("Sin", {"a"}, {"b"});
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
