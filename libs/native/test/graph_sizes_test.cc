// Rows of any length: what the proof says where sizes differ from one input to the next.
#include <gtest/gtest.h>

#include <functional>

#include "graph_parts.h"

namespace interleave::graph {
namespace {

using test::Axes;
using test::Graph;
using test::kAlone;
using test::kFloat;
using test::kInt64;
using test::kTogether;
using test::kUnknown;

RowProof OfTokens(const std::function<void(Graph&)>& build) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "tokens"});
  build(graph);
  graph.Output("y", kFloat, {"batch"});
  return ProveRows(graph.Model().bytes());
}

// What holds for the examples of sizes need not hold for all: a row of 48 tokens ends within an entry of 32.
TEST(RowsOfAnyLength, DoNotShareEntries) {
  const auto folded = [](std::int64_t width) {
    return OfTokens([=](Graph& g) {
      Numbers(g, "form", {-1, width});
      g.Node("Reshape", {"x", "form"}, {"a"})
          .Node("Softmax", {"a"}, {"b"})
          .Node("Shape", {"x"}, {"s"})
          .Node("Reshape", {"b", "s"}, {"y"});
    });
  };
  EXPECT_EQ(folded(1).verdict, kTogether) << folded(1).reason;
  EXPECT_EQ(folded(32).verdict, kUnknown);
  const RowProof turned = OfTokens([](Graph& g) {
    Numbers(g, "form", {224, -1});
    g.Node("Transpose", {"x"}, {"t"}).Node("Reshape", {"t", "form"}, {"a"}).Node("Transpose", {"a"}, {"y"});
  });
  EXPECT_EQ(turned.verdict, kUnknown);
}

// A list of 64 places from the start of each row reaches into the next one when rows are shorter.
TEST(RowsOfAnyLength, LookUpTheirOwnPartOnly) {
  const auto lookUp = [](bool wholeRow) {
    return OfTokens([=](Graph& g) {
      Numbers(Numbers(g, "flat", {-1}), "form", {-1, 1});
      Number(Number(Number(Number(g, "0", 0), "1", 1), "16", 16), "64", 64);
      g.Node("Reshape", {"x", "flat"}, {"list"})
          .Node("Shape", {"x"}, {"s"})
          .Node("Gather", {"s", "0"}, {"b"})
          .Node("Gather", {"s", "1"}, {"length"})
          .Node("Range", {"0", "b", "1"}, {"n"})
          .Node("Reshape", {"n", "form"}, {"column"})
          .Node("Mul", {"column", "length"}, {"start"})
          .Node("Range", {"0", wholeRow ? "length" : "16", "1"}, {"kv"})
          .Node("Add", {"start", "kv"}, {"i"})
          .Node("Gather", {"list", "i"}, {"y"});
    });
  };
  EXPECT_EQ(lookUp(true).verdict, kTogether) << lookUp(true).reason;
  EXPECT_EQ(lookUp(false).verdict, kAlone);
}

// From x [batch, tokens] to y: `first` is the size that the turned x is folded into, before the rows.
Graph& FoldTurned(Graph& g, const std::string& first) {
  Numbers(Numbers(Numbers(g, "rest", {-1}), "rowsAt", {0}), "ends", {1});
  return g.Node("Slice", {"s", "rowsAt", "ends"}, {"rows"})
      .Node("Concat", {first, "rows", "rest"}, {"form"}, {{"axis", 0}})
      .Node("Transpose", {"x"}, {"t"})
      .Node("Reshape", {"t", "form"}, {"folded"})
      .Node("Transpose", {"folded"}, {"y"}, {{"perm", Axes{1, 0, 2}}});
}

// The flat x, looked up at a place for each row.
Graph& LookUp(Graph& g, const std::string& place) {
  return Numbers(g, "flat", {-1}).Node("Reshape", {"x", "flat"}, {"list"}).Node("Gather", {"list", place}, {"y"});
}

Graph& Starts(Graph& g) {
  Number(Number(g, "0", 0), "1", 1);
  return g.Node("Gather", {"s", "0"}, {"b"})
      .Node("Gather", {"s", "1"}, {"length"})
      .Node("Range", {"0", "b", "1"}, {"n"})
      .Node("Mul", {"n", "length"}, {"start"});
}

// Each is right for short rows and wrong for long ones.
TEST(RowsOfAnyLength, AreNotJudgedBySizesThatAreEqualByChance) {
  const std::vector<std::pair<const char*, std::function<void(Graph&)>>> cases{
      {"the smaller of a size and a limit",
       [](Graph& g) {
         FoldTurned(Number(g, "1000", 1000)
                        .Node("Gather", {"s", "at"}, {"length"})
                        .Node("Min", {"length", "1000"}, {"m"})
                        .Node("Reshape", {"m", "flat"}, {"k"}),
                    "k");
         Numbers(Number(g, "at", 1), "flat", {-1});
       }},
      {"a size that was cut",
       [](Graph& g) {
         FoldTurned(Numbers(Numbers(Numbers(g, "from", {0}), "to", {1000}), "along", {1})
                        .Node("Slice", {"x", "from", "to", "along"}, {"part"})
                        .Node("Shape", {"part"}, {"k"}, {{"start", 1}}),
                    "k");
       }},
      {"a size in 8 bits",
       [](Graph& g) {
         FoldTurned(g.Node("Shape", {"x"}, {"w"}, {{"start", 1}})
                        .Node("Cast", {"w"}, {"c"}, {{"to", 2}})
                        .Node("Cast", {"c"}, {"k"}, {{"to", kInt64}}),
                    "k");
       }},
      {"a place in 8 bits",
       [](Graph& g) {
         LookUp(Starts(g).Node("Cast", {"start"}, {"c"}, {{"to", 2}}).Node("Cast", {"c"}, {"i"}, {{"to", kInt64}}),
                "i");
       }},
      {"a place in half precision",
       [](Graph& g) {
         LookUp(Starts(g).Node("Cast", {"start"}, {"c"}, {{"to", 10}}).Node("Cast", {"c"}, {"i"}, {{"to", kInt64}}),
                "i");
       }},
      {"a place before the row",
       [](Graph& g) {
         Number(Number(Starts(g), "2", 2), "400", 400)
             .Node("Div", {"length", "2"}, {"half"})
             .Node("Mul", {"length", "length"}, {"square"})
             .Node("Div", {"square", "400"}, {"back"})
             .Node("Sub", {"half", "back"}, {"shift"})
             .Node("Add", {"start", "shift"}, {"i"});
         LookUp(g, "i");
       }},
      {"a mark on one row",
       [](Graph& g) {
         Numbers(Numbers(g, "100", {100}), "columns", {1})
             .Initializer("marks", kFloat, {2}, std::vector<float>{0, 1})
             .Node("Shape", {"x"}, {"w"}, {{"start", 1}})
             .Node("Shape", {"x"}, {"b"}, {{"end", 1}})
             .Node("Sub", {"w", "100"}, {"i"})
             .Node("OneHot", {"i", "b", "marks"}, {"m"}, {{"axis", 0}})
             .Node("Add", {"x", "m"}, {"y"});
       }},
      {"a number for each row, by its place",
       [](Graph& g) {
         g.Initializer("line", kFloat, {1, 2}, std::vector<float>{0, 1});
         Numbers(g, "one", {1});
         g.Node("Shape", {"x"}, {"b"}, {{"end", 1}})
             .Node("Concat", {"one", "b"}, {"sizes"}, {{"axis", 0}})
             .Node("Resize", {"line", "", "", "sizes"}, {"r"})
             .Node("Transpose", {"r"}, {"column"})
             .Node("Add", {"x", "column"}, {"y"});
       }},
  };
  for (const auto& [name, build] : cases) {
    const RowProof proof = OfTokens([&build](Graph& g) {
      g.Node("Shape", {"x"}, {"s"});
      build(g);
    });
    EXPECT_NE(proof.verdict, kTogether) << name;
    EXPECT_EQ(proof.reason.find("damaged"), std::string::npos) << name << ": " << proof.reason;
  }
}

TEST(RowsOfAnyLength, AreFollowedBehindTime) {
  const RowProof proof = OfTokens([](Graph& g) {
    FoldTurned(g.Node("Shape", {"x"}, {"s"}).Node("Shape", {"x"}, {"k"}, {{"start", 1}}), "k");
  });
  EXPECT_EQ(proof.verdict, kTogether) << proof.reason;
}

}  // namespace
}  // namespace interleave::graph
