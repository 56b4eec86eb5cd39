// What an answer owes to the places that rows are padded with: masks and token ids followed to where they meet data.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "graph/row_proof.h"
#include "test_models.h"

namespace interleave {
namespace {

using graph::ProveRows;
using graph::RowProof;
using graph::RowVerdict;
using test::Graph;
using test::kBool;
using test::kFloat;
using test::kInt64;

struct Case {
  const char* name;
  std::function<void(Graph&)> build;
};

// ids, mask [batch, tokens] -> y [batch, tokens, 4] or what `build` makes of "x", a row of a table for each token; "m"
// is the mask as floats, "visible" as booleans, both [batch, tokens, 1]; "hidden" is 1 less "m". Numbers by name.
RowProof OfMasked(const Case& made) {
  Graph graph;
  graph.Input("ids", kInt64, {"batch", "tokens"})
      .Input("mask", kInt64, {"batch", "tokens"})
      .Output("y", kFloat, {"batch", "", ""});
  for (const auto& [name, number] : {std::pair("-1e9", -1e9F),
                                     {"-1e4", -1e4F},
                                     {"-1000", -1000.0F},
                                     {"-10", -10.0F},
                                     {"0", 0.0F},
                                     {"0.5", 0.5F},
                                     {"1", 1.0F},
                                     {"100", 100.0F}}) {
    graph.Initializer(name, kFloat, {}, std::vector<float>{number});
  }
  graph.Initializer("table", kFloat, {50, 4}, test::Weights(200)).Initializer<std::int64_t>("axis1", kInt64, {1}, {1});
  graph.Initializer<std::int64_t>("axis2", kInt64, {1}, {2})
      .Initializer<std::int64_t>("end", kInt64, {1}, {-1})
      .Initializer<std::int64_t>("first", kInt64, {1}, {0});
  graph.Initializer<std::int64_t>("far", kInt64, {1}, {std::numeric_limits<std::int64_t>::max()})
      .Initializer<std::int64_t>("one", kInt64, {}, {1})
      .Initializer<std::int64_t>("nought", kInt64, {}, {0});
  graph.Node("Gather", {"table", "ids"}, {"x"})
      .Node("Unsqueeze", {"mask", "axis2"}, {"column"})
      .Node("Cast", {"column"}, {"m"}, {{"to", kFloat}});
  graph.Node("Cast", {"column"}, {"visible"}, {{"to", kBool}}).Node("Sub", {"1", "m"}, {"hidden"});
  made.build(graph);
  return ProveRows(graph.Model().bytes(), {}, {.masks = {{"mask", 0}}, .ids = {{"ids", 0}}});
}

const auto kSummed = [](Graph& g, const char* from) { g.Node("ReduceSum", {from, "axis1"}, {"y"}, {{"keepdims", 1}}); };
const auto kLargest = [](Graph& g, const char* from) {
  g.Node("ReduceMax", {from}, {"y"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}});
};

// x as [batch, 4, tokens], "t".
const auto kTransposed = [](Graph& g, const char* from) {
  g.Node("Transpose", {from}, {"t"}, {{"perm", std::vector<int>{0, 2, 1}}});
};

TEST(PaddedPlaces, AreSeenWhereAnAnswerMayDependOnThem) {
  const std::vector<Case> cases{
      {"a fill that real ones pass",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "-10"}, {"w"});
         kLargest(g, "w");
       }},
      {"a larger one",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "-1000"}, {"w"});
         kLargest(g, "w");
       }},
      {"the least of positive fills",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "100"}, {"w"})
             .Node("ReduceMin", {"w"}, {"y"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}});
       }},
      {"a small fill of half precision",
       [](Graph& g) {
         constexpr int kHalf = 10;
         g.Initializer<std::uint16_t>("small", kHalf, {}, {0xC900}).Node("Cast", {"x"}, {"h"}, {{"to", kHalf}});
         g.Node("Where", {"visible", "h", "small"}, {"w"}).Node("Cast", {"w"}, {"f"}, {{"to", kFloat}});
         kLargest(g, "f");
       }},
      {"a fill that is computed",
       [](Graph& g) {
         g.Node("Mul", {"-10", "100"}, {"fill"}).Node("Where", {"visible", "x", "fill"}, {"w"});
         kLargest(g, "w");
       }},
      {"a fill behind Not",
       [](Graph& g) {
         g.Node("Not", {"visible"}, {"n"}).Node("Where", {"n", "-10", "x"}, {"w"});
         kLargest(g, "w");
       }},
      {"a fill behind a comparison",
       [](Graph& g) {
         g.Node("Equal", {"m", "0"}, {"n"}).Node("Where", {"n", "-10", "x"}, {"w"});
         kLargest(g, "w");
       }},
      {"a bias that is too small",
       [](Graph& g) {
         g.Node("Mul", {"hidden", "-10"}, {"bias"}).Node("Add", {"x", "bias"}, {"w"});
         kLargest(g, "w");
       }},
      {"a bias of the mask itself",
       [](Graph& g) {
         g.Node("Add", {"x", "m"}, {"y"});
       }},
      {"zeros that are picked among",
       [](Graph& g) {
         g.Node("Mul", {"x", "m"}, {"w"});
         kLargest(g, "w");
       }},
      {"zeros that are picked among after all",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "0"}, {"w"})
             .Node("Add", {"w", "100"}, {"v"})
             .Node("Softmax", {"v"}, {"y"}, {{"axis", 1}});
       }},
      {"the number of hidden places",
       [](Graph& g) {
         g.Node("ReduceSum", {"hidden", "axis1"}, {"n"}, {{"keepdims", 1}}).Node("Mul", {"x", "n"}, {"y"});
       }},
      {"whether any place is hidden",
       [](Graph& g) {
         g.Node("ReduceMin", {"m"}, {"n"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}})
             .Node("Mul", {"x", "n"}, {"y"});
       }},
      {"the mean of the mask",
       [](Graph& g) {
         g.Node("ReduceMean", {"m"}, {"n"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}})
             .Node("Mul", {"x", "n"}, {"y"});
       }},
      {"the last place of the mask",
       [](Graph& g) {
         g.Node("Slice", {"m", "end", "far", "axis1"}, {"n"}).Node("Mul", {"x", "n"}, {"y"});
       }},
      {"a mask of half the weight",
       [](Graph& g) {
         g.Node("Max", {"m", "0.5"}, {"n"}).Node("Mul", {"x", "n"}, {"w"});
         kSummed(g, "w");
       }},
      {"ids as numbers",
       [](Graph& g) {
         g.Node("Cast", {"ids"}, {"n"}, {{"to", kFloat}})
             .Node("Unsqueeze", {"n", "axis2"}, {"c"})
             .Node("Mul", {"x", "c"}, {"y"});
       }},
      {"the largest id",
       [](Graph& g) {
         g.Node("ReduceMax", {"ids"}, {"n"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}})
             .Node("Gather", {"table", "n"}, {"y"});
       }},
      {"windows that are wider than tried rows",
       [](Graph& g) {
         g.Initializer("w", kFloat, {4, 4, 64}, test::Weights(1024)).Node("Mul", {"x", "m"}, {"v"});
         kTransposed(g, "v");
         g.Node("Conv", {"t", "w"}, {"c"}, {{"strides", std::vector<int>{64}}, {"pads", std::vector<int>{0, 63}}});
         g.Node("ReduceSum", {"c", "axis2"}, {"y"}, {{"keepdims", 1}});
       }},
      {"windows of windows",
       [](Graph& g) {
         g.Initializer("w", kFloat, {4, 4, 5}, test::Weights(80)).Node("Mul", {"x", "m"}, {"v"});
         kTransposed(g, "v");
         g.Node("Conv", {"t", "w"}, {"c"}, {{"strides", std::vector<int>{5}}, {"pads", std::vector<int>{0, 4}}});
         g.Node("Conv", {"c", "w"}, {"d"}, {{"strides", std::vector<int>{5}}, {"pads", std::vector<int>{0, 4}}});
         g.Node("ReduceSum", {"d", "axis2"}, {"y"}, {{"keepdims", 1}});
       }},
      {"places far apart",
       [](Graph& g) {
         g.Initializer("w", kFloat, {4, 4, 2}, test::Weights(32));
         kTransposed(g, "x");
         g.Node("Conv", {"t", "w"}, {"y"}, {{"dilations", std::vector<int>{64}}, {"pads", std::vector<int>{0, 64}}});
       }},
      {"the places from the 64th on",
       [](Graph& g) {
         g.Initializer<std::int64_t>("63", kInt64, {1}, {63}).Node("Slice", {"x", "63", "far", "axis1"}, {"v"});
         kSummed(g, "v");
       }},
      {"every 64th place",
       [](Graph& g) {
         g.Initializer<std::int64_t>("64", kInt64, {1}, {64})
             .Node("Slice", {"x", "first", "far", "axis1", "64"}, {"v"});
         kSummed(g, "v");
       }},
      {"pieces of 64 places",
       [](Graph& g) {
         g.Initializer<std::int64_t>("64", kInt64, {1}, {64})
             .Initializer<std::int64_t>("pieces", kInt64, {4}, {0, -1, 64, 4})
             .Initializer<std::int64_t>("none", kInt64, {1}, {0})
             .Node("Shape", {"x"}, {"s"})
             .Node("Gather", {"s", "axis1"}, {"length"})
             .Node("Neg", {"length"}, {"less"})
             .Node("Mod", {"less", "64"}, {"missing"});
         g.Node("Concat", {"none", "none", "none", "none", "missing", "none"}, {"pads"}, {{"axis", 0}})
             .Node("Mul", {"x", "m"}, {"v"})
             .Node("Pad", {"v", "pads"}, {"p"})
             .Node("Reshape", {"p", "pieces"}, {"r"})
             .Node("ReduceSum", {"r", "axis2"}, {"z"}, {{"keepdims", 0}});
         g.Node("Tanh", {"z"}, {"w"});
         kSummed(g, "w");
       }},
      {"the sixth place",
       [](Graph& g) {
         g.Initializer<std::int64_t>("5", kInt64, {1}, {5}).Node("Gather", {"x", "5"}, {"y"}, {{"axis", 1}});
       }},
      {"the largest three",
       [](Graph& g) {
         g.Initializer<std::int64_t>("3", kInt64, {1}, {3})
             .Node("Where", {"visible", "x", "-1e9"}, {"w"})
             .Node("TopK", {"w", "3"}, {"y", "at"}, {{"axis", 1}});
       }},
      {"the mean of all places",
       [](Graph& g) {
         g.Node("Mul", {"x", "m"}, {"v"})
             .Node("ReduceMean", {"v"}, {"y"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}});
       }},
      {"the largest of all places", [](Graph& g) { kLargest(g, "x"); }},
      {"the largest of what is made of zeros",
       [](Graph& g) {
         g.Initializer("w", kFloat, {4, 4}, test::Weights(16)).Node("Mul", {"x", "m"}, {"v"});
         g.Node("MatMul", {"v", "w"}, {"z"});
         kLargest(g, "z");
       }},
      {"the largest of far fills beside what is not masked",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "-1e9"}, {"v"}).Node("Max", {"v", "x"}, {"z"});
         kLargest(g, "z");
       }},
      {"the largest of far fills before what is not masked",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "-1e9"}, {"v"}).Node("Concat", {"v", "x"}, {"z"}, {{"axis", 2}});
         kLargest(g, "z");
       }},
      {"the largest of far fills that are brought near",
       [](Graph& g) {
         g.Node("Where", {"visible", "x", "-1e9"}, {"v"}).Node("Sigmoid", {"v"}, {"z"});
         kLargest(g, "z");
       }},
      {"places masked by their ids",
       [](Graph& g) {
         g.Node("Equal", {"ids", "nought"}, {"n"})
             .Node("Unsqueeze", {"n", "axis2"}, {"c"})
             .Node("Where", {"c", "-1e9", "x"}, {"w"});
         kLargest(g, "w");
       }},
  };
  for (const Case& made : cases) {
    const RowProof proof = OfMasked(made);
    EXPECT_EQ(proof.verdict, RowVerdict::kIndependent) << made.name << ": " << proof.reason;
    EXPECT_FALSE(proof.paddingUse.empty()) << made.name;
  }
}

TEST(PaddedPlaces, AreLeftAloneWhereTheyAreHidden) {
  const std::vector<Case> cases{
      {"the mean of real tokens",
       [](Graph& g) {
         g.Node("Mul", {"x", "m"}, {"w"}).Node("ReduceSum", {"w", "axis1"}, {"s"}, {{"keepdims", 1}});
         g.Node("ReduceSum", {"m", "axis1"}, {"n"}, {{"keepdims", 1}})
             .Node("Max", {"n", "1"}, {"count"})
             .Node("Div", {"s", "count"}, {"y"});
       }},
      {"BERT's bias",
       [](Graph& g) {
         g.Node("Mul", {"hidden", "-1e4"}, {"bias"})
             .Node("Add", {"x", "bias"}, {"w"})
             .Node("Softmax", {"w"}, {"p"}, {{"axis", 1}});
         g.Node("Mul", {"p", "x"}, {"px"});
         kSummed(g, "px");
       }},
      {"the largest of real tokens",
       [](Graph& g) {
         g.Node("Equal", {"m", "0"}, {"n"}).Node("Where", {"n", "-1e9", "x"}, {"w"});
         kLargest(g, "w");
       }},
      {"a fill of half precision",
       [](Graph& g) {
         constexpr int kHalf = 10;
         g.Initializer<std::uint16_t>("lowest", kHalf, {}, {0xFBFF}).Node("Cast", {"x"}, {"h"}, {{"to", kHalf}});
         g.Node("Where", {"visible", "h", "lowest"}, {"w"}).Node("Cast", {"w"}, {"f"}, {{"to", kFloat}});
         kLargest(g, "f");
       }},
      {"positions after the mask",
       [](Graph& g) {
         g.Node("CumSum", {"mask", "one"}, {"c"})
             .Node("Mul", {"c", "mask"}, {"p"})
             .Node("Gather", {"table", "p"}, {"e"})
             .Node("Add", {"x", "e"}, {"y"});
       }},
      {"the last real token",
       [](Graph& g) {
         g.Node("ReduceSum", {"mask", "axis1"}, {"n"}, {{"keepdims", 1}})
             .Node("Sub", {"n", "one"}, {"at"})
             .Node("Unsqueeze", {"at", "axis2"}, {"c"});
         g.Initializer<std::int64_t>("wide", kInt64, {3}, {1, 1, 4}).Node("Expand", {"c", "wide"}, {"places"});
         g.Node("GatherElements", {"x", "places"}, {"y"}, {{"axis", 1}});
       }},
      {"a table of another table",
       [](Graph& g) {
         g.Node("Add", {"ids", "one"}, {"next"})
             .Node("Gather", {"table", "next"}, {"e"})
             .Node("Add", {"x", "e"}, {"y"});
       }},
      {"narrow windows of masked places",
       [](Graph& g) {
         g.Initializer("w", kFloat, {4, 4, 3}, test::Weights(48)).Node("Mul", {"x", "m"}, {"v"});
         kTransposed(g, "v");
         g.Node("Conv", {"t", "w"}, {"c"}, {{"pads", std::vector<int>{1, 1}}})
             .Node("Transpose", {"c"}, {"b"}, {{"perm", std::vector<int>{0, 2, 1}}})
             .Node("Mul", {"b", "m"}, {"z"});
         kSummed(g, "z");
       }},
      {"heads, and all tokens in one row",
       [](Graph& g) {
         g.Initializer<std::int64_t>("heads", kInt64, {4}, {0, -1, 2, 2})
             .Initializer<std::int64_t>("flat", kInt64, {2}, {-1, 4})
             .Node("Shape", {"x"}, {"s"})
             .Node("Reshape", {"x", "heads"}, {"h"})
             .Node("Transpose", {"h"}, {"q"}, {{"perm", std::vector<int>{0, 2, 1, 3}}})
             .Node("Transpose", {"q"}, {"k"}, {{"perm", std::vector<int>{0, 2, 1, 3}}});
         g.Node("Reshape", {"k", "flat"}, {"f"}).Node("Reshape", {"f", "s"}, {"z"}).Node("Mul", {"z", "m"}, {"v"});
         kSummed(g, "v");
       }},
      {"the first place",
       [](Graph& g) {
         g.Node("Slice", {"x", "first", "axis1", "axis1"}, {"a"}).Node("Gather", {"x", "first"}, {"b"}, {{"axis", 1}});
         g.Node("Add", {"a", "b"}, {"y"});
       }},
      {"the largest of a bias that goes on",
       [](Graph& g) {
         g.Node("Mul", {"hidden", "-1e9"}, {"bias"})
             .Node("Add", {"bias", "x"}, {"w"})
             .Node("Cast", {"w"}, {"v"}, {{"to", kFloat}});
         kLargest(g, "v");
       }},
      {"the first place of the mask",
       [](Graph& g) {
         g.Node("Slice", {"m", "first", "axis1", "axis1"}, {"n"}).Node("Mul", {"x", "m"}, {"w"});
         kSummed(g, "w");
       }},
  };
  for (const Case& made : cases) {
    const RowProof proof = OfMasked(made);
    EXPECT_EQ(proof.verdict, RowVerdict::kIndependent) << made.name << ": " << proof.reason;
    EXPECT_EQ(proof.paddingUse, "") << made.name;
    EXPECT_EQ(proof.lengthUse, "") << made.name;
  }
}

}  // namespace
}  // namespace interleave
