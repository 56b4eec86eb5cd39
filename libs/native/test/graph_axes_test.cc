// Sizes that are equal, positive or fit in the proof's examples, and need not be so in a run.
#include <gtest/gtest.h>

#include "graph_decisions.h"

namespace interleave {
namespace {

using graph::EqualAxes;
using graph::ProveRows;
using graph::RowProof;
using graph::RowVerdict;
using test::Build;
using test::Dims;
using test::Graph;
using test::kFloat;
using test::kInt64;
using test::VerdictOf;
using Ints = std::vector<std::int64_t>;

struct Row {
  const char* name;
  Build build;
};

Graph& Numbers(Graph& g, const std::string& name, const Ints& values) {
  return g.Initializer<std::int64_t>(name, kInt64, {static_cast<std::int64_t>(values.size())}, values);
}

// x [batch, 3, a, b] to [b, batch, 3, a] by its own shape: right only where a is as long as b.
RowProof OfSwapped(const std::string& a, const std::string& b, const EqualAxes& equal = {}) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", 3, a, b}).Output("y", kFloat, {"batch", 3, "", ""});
  Numbers(graph, "order", {3, 0, 1, 2});
  graph.Node("Transpose", {"x"}, {"t"}, {{"perm", std::vector<int>{2, 0, 1, 3}}})
      .Node("Shape", {"x"}, {"s"})
      .Node("Gather", {"s", "order"}, {"form"})
      .Node("Reshape", {"t", "form"}, {"r"})
      .Node("Transpose", {"r"}, {"y"}, {{"perm", std::vector<int>{1, 2, 0, 3}}});
  return ProveRows(graph.Model().bytes(), equal);
}

TEST(SizesOfOneName, AreEqualOnlyWhereARunRequiresIt) {
  for (const char* name : {"?", "unk", "None", "", "side"})
    EXPECT_NE(OfSwapped(name, name).verdict, RowVerdict::kIndependent) << name;
  EXPECT_NE(OfSwapped("height", "width").verdict, RowVerdict::kIndependent);
  const EqualAxes same{{.input = "x", .axis = 2, .number = 1}, {.input = "x", .axis = 3, .number = 1}};
  EXPECT_EQ(OfSwapped("side", "side", same).verdict, RowVerdict::kIndependent)
      << OfSwapped("side", "side", same).reason;
  const EqualAxes other{{.input = "x", .axis = 2, .number = 1}, {.input = "x", .axis = 3, .number = 2}};
  EXPECT_NE(OfSwapped("side", "side", other).verdict, RowVerdict::kIndependent);
  const EqualAxes another{{.input = "z", .axis = 2, .number = 1}, {.input = "z", .axis = 3, .number = 1}};
  EXPECT_NE(OfSwapped("side", "side", another).verdict, RowVerdict::kIndependent);
}

// The same for two inputs: the rows of one are cut by the length of the other.
TEST(SizesOfOneName, OfTwoInputsAreEqualOnlyWhereARunRequiresIt) {
  const auto proof = [](const EqualAxes& equal) {
    Graph graph;
    graph.Input("x", kFloat, {"batch", "tokens"})
        .Input("z", kFloat, {"batch", "tokens"})
        .Output("y", kFloat, {"batch", ""});
    Numbers(Numbers(graph, "flat", {-1}), "at", {1});
    graph.Node("Shape", {"z"}, {"s"})
        .Node("Gather", {"s", "at"}, {"length"})
        .Node("Concat", {"flat", "length"}, {"form"}, {{"axis", 0}})
        .Node("Reshape", {"x", "form"}, {"r"})
        .Node("Softmax", {"r"}, {"p"})
        .Node("Shape", {"x"}, {"back"})
        .Node("Reshape", {"p", "back"}, {"y"});
    return ProveRows(graph.Model().bytes(), equal).verdict;
  };
  EXPECT_NE(proof({}), RowVerdict::kIndependent);
  EXPECT_EQ(proof({{.input = "x", .axis = 1, .number = 0}, {.input = "z", .axis = 1, .number = 0}}),
            RowVerdict::kIndependent);
}

// Whether the size of "part" along `axis` is above 0.
Build HasEntries(int axis, const Build& part) {
  return [=](Graph& g) {
    Numbers(Numbers(Numbers(g, "from5", {5}), "end", {INT32_MAX}), "along", {1});
    part(g);
    g.Node("Shape", {"part"}, {"sizes"})
        .Node("Gather", {"sizes", std::to_string(axis)}, {"size"})
        .Node("Greater", {"size", "0"}, {"condition"});
  };
}

TEST(SizesOfParts, MayBeNothing) {
  const std::vector<Row> rows{
      {"behind the first five", HasEntries(1,
                                           [](Graph& g) {
                                             g.Node("Slice", {"x", "from5", "end", "along"}, {"part"});
                                           })},
      {"the sixth alone", HasEntries(1,
                                     [](Graph& g) {
                                       Numbers(g, "to6", {6}).Node("Slice", {"x", "from5", "to6", "along"}, {"part"});
                                     })},
      {"but for the last five",
       HasEntries(
           1,
           [](Graph& g) {
             Numbers(Numbers(g, "from0", {0}), "to-5", {-5}).Node("Slice", {"x", "from0", "to-5", "along"}, {"part"});
           })},
      {"padded by less than nothing",
       HasEntries(1,
                  [](Graph& g) {
                    Numbers(g, "pads", {0, 0, 0, 0, -4, 0}).Node("Pad", {"x", "pads"}, {"part"});
                  })},
      {"places from the third on", HasEntries(0,
                                              [](Graph& g) {
                                                g.Node("Range", {"3", "length", "1"}, {"part"});
                                              })},
      {"windows of five", HasEntries(2,
                                     [](Graph& g) {
                                       g.Initializer("w", kFloat, {1, 4, 5}, test::Weights(20))
                                           .Node("Transpose", {"x"}, {"t"}, {{"perm", std::vector<int>{0, 2, 1}}})
                                           .Node("Conv", {"t", "w"}, {"part"});
                                     })},
      {"half of it", HasEntries(1,
                                [](Graph& g) {
                                  g.Initializer("scales", kFloat, {3}, std::vector<float>{1, .5F, 1})
                                      .Node("Resize", {"x", "", "scales"}, {"part"});
                                })},
      {"pairs",
       [](Graph& g) {
         g.Node("Div", {"length", "2"}, {"pairs"}).Node("Greater", {"pairs", "0"}, {"condition"});
       }},
      {"less five",
       [](Graph& g) {
         g.Node("Sub", {"length", "5"}, {"rest"}).Node("Greater", {"rest", "0"}, {"condition"});
       }},
      {"what five leave over",
       [](Graph& g) {
         g.Node("Mod", {"length", "5"}, {"rest"}).Node("Greater", {"rest", "0"}, {"condition"});
       }},
      {"ones of a part of one",
       [](Graph& g) {
         Numbers(Numbers(Numbers(Numbers(g, "from5", {5}), "to6", {6}), "along", {1}), "unit", {1});
         g.Node("Slice", {"x", "from5", "to6", "along"}, {"part"})
             .Node("Shape", {"part"}, {"sizes"})
             .Node("Gather", {"sizes", "unit"}, {"size"})
             .Node("ConstantOfShape", {"size"}, {"z"})
             .Node("Cast", {"z"}, {"i"}, {{"to", kInt64}})
             .Node("Add", {"i", "unit"}, {"ones"})
             .Node("ReduceSum", {"ones"}, {"count"}, {{"keepdims", 0}})
             .Node("Greater", {"count", "0"}, {"condition"});
       }},
  };
  for (const auto& [name, build] : rows) {
    EXPECT_EQ(VerdictOf(build, true), RowVerdict::kMixed) << name;
    EXPECT_EQ(VerdictOf(build, false), RowVerdict::kMixed) << name;
  }
}

TEST(SizesOfParts, AreKnownWhereEveryLengthHasThem) {
  const Build first = HasEntries(1, [](Graph& g) {
    Numbers(Numbers(g, "from0", {0}), "to1", {1}).Node("Slice", {"x", "from0", "to1", "along"}, {"part"});
  });
  const Build last = HasEntries(1, [](Graph& g) {
    Numbers(g, "from-1", {-1}).Node("Slice", {"x", "from-1", "end", "along"}, {"part"});
  });
  const Build more = HasEntries(1, [](Graph& g) {
    Numbers(g, "pads", {0, 2, 0, 0, 0, 0}).Node("Pad", {"x", "pads"}, {"part"});
  });
  for (const Build& build : {first, last, more}) {
    EXPECT_EQ(VerdictOf(build, true), RowVerdict::kMixed);
    EXPECT_EQ(VerdictOf(build, false), RowVerdict::kIndependent);
  }
}

// x [batch, a] and z [batch, b], added: they are equally long unless one has a single entry. "xs" and "zs" are the
// numbers of their elements.
RowProof OfTwo(const Build& build) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "a"}).Input("z", kFloat, {"batch", "b"}).Output("y", kFloat, {"batch", ""});
  graph.Node("Size", {"x"}, {"xs"}).Node("Size", {"z"}, {"zs"});
  build(graph);
  graph.Node("Cast", {"k"}, {"f"}, {{"to", kFloat}})
      .Node("Add", {"x", "z"}, {"both"})
      .Node("ReduceMax", {"both"}, {"m"}, {{"axes", std::vector<int>{1}}})
      .Node("Mul", {"m", "f"}, {"y"});
  return ProveRows(graph.Model().bytes());
}

TEST(NumbersOfRows, KeepTheirMark) {
  const std::vector<Row> rows{
      {"a difference",
       [](Graph& g) {
         g.Node("Sub", {"xs", "zs"}, {"k"});
       }},
      {"a sum with the negative",
       [](Graph& g) {
         g.Node("Neg", {"zs"}, {"minus"}).Node("Add", {"xs", "minus"}, {"k"});
       }},
      {"a rest",
       [](Graph& g) {
         Numbers(g, "at", {1})
             .Node("Shape", {"z"}, {"s"})
             .Node("Gather", {"s", "at"}, {"b"})
             .Node("Mod", {"xs", "b"}, {"k"});
       }},
      {"the larger one, less the other",
       [](Graph& g) {
         g.Node("Max", {"xs", "zs"}, {"l"}).Node("Sub", {"l", "zs"}, {"k"});
       }},
      {"whether they are the same",
       [](Graph& g) {
         g.Node("Equal", {"xs", "zs"}, {"k"});
       }},
      {"one of two, by their number",
       [](Graph& g) {
         Numbers(g, "100", {100})
             .Node("Less", {"xs", "100"}, {"few"})
             .Node("Shape", {"x"}, {"s"}, {{"start", 1}})
             .Node("Shape", {"z"}, {"t"}, {{"start", 1}})
             .Node("Where", {"few", "s", "t"}, {"k"});
       }},
      {"a half",
       [](Graph& g) {
         Numbers(g, "2", {2}).Node("Div", {"xs", "2"}, {"k"});
       }},
      {"a part cut off at 64 for each row",
       [](Graph& g) {
         Numbers(Numbers(Numbers(g, "from", {0}), "64", {64}), "flat", {-1})
             .Node("Shape", {"x"}, {"n"}, {{"end", 1}})
             .Node("Mul", {"n", "64"}, {"to"})
             .Node("Reshape", {"x", "flat"}, {"list"})
             .Node("Slice", {"list", "from", "to"}, {"part"})
             .Node("Size", {"part"}, {"k"});
       }},
  };
  for (const auto& [name, build] : rows) EXPECT_NE(OfTwo(build).verdict, RowVerdict::kIndependent) << name;
  const RowProof quotient = OfTwo([](Graph& g) {
    g.Node("Shape", {"x"}, {"n"}, {{"end", 1}}).Node("Div", {"xs", "n"}, {"k"});
  });
  EXPECT_EQ(quotient.verdict, RowVerdict::kIndependent) << quotient.reason;
}

// x [batch, tokens] in entries of 32, by "form", and the softmax of each entry.
RowProof OfEntries(const Build& form) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "tokens"}).Output("y", kFloat, {"batch", ""});
  Numbers(Numbers(graph, "32", {32}), "2", {2});
  graph.Node("Shape", {"x"}, {"s"})
      .Node("Shape", {"x"}, {"n"}, {{"end", 1}})
      .Node("Shape", {"x"}, {"length"}, {{"start", 1}});
  form(graph);
  graph.Node("Reshape", {"x", "form"}, {"r"}).Node("Softmax", {"r"}, {"p"}).Node("Reshape", {"p", "s"}, {"y"});
  return ProveRows(graph.Model().bytes());
}

// For 16 tokens a row alone has no such form, and two rows would share an entry.
TEST(RowsInEntries, AreNotDividedWithARest) {
  const std::vector<Row> rows{
      {"by the product of the shape",
       [](Graph& g) {
         g.Node("ReduceProd", {"s"}, {"all"})
             .Node("Div", {"all", "32"}, {"m"})
             .Node("Concat", {"m", "32"}, {"form"}, {{"axis", 0}});
       }},
      {"by the number of elements",
       [](Graph& g) {
         Numbers(g, "one", {1})
             .Node("Size", {"x"}, {"all"})
             .Node("Div", {"all", "32"}, {"m"})
             .Node("Reshape", {"m", "one"}, {"v"})
             .Node("Concat", {"v", "32"}, {"form"}, {{"axis", 0}});
       }},
      {"by a float",
       [](Graph& g) {
         g.Initializer("part", kFloat, {1}, std::vector<float>{1 / 32.F})
             .Node("ReduceProd", {"s"}, {"all"})
             .Node("Cast", {"all"}, {"f"}, {{"to", kFloat}})
             .Node("Mul", {"f", "part"}, {"q"})
             .Node("Cast", {"q"}, {"m"}, {{"to", kInt64}})
             .Node("Concat", {"m", "32"}, {"form"}, {{"axis", 0}});
       }},
      {"by a float, rounded down",
       [](Graph& g) {
         g.Initializer("k", kFloat, {1}, std::vector<float>{32})
             .Node("ReduceProd", {"s"}, {"all"})
             .Node("Cast", {"all"}, {"f"}, {{"to", kFloat}})
             .Node("Div", {"f", "k"}, {"q"})
             .Node("Floor", {"q"}, {"d"})
             .Node("Cast", {"d"}, {"m"}, {{"to", kInt64}})
             .Node("Concat", {"m", "32"}, {"form"}, {{"axis", 0}});
       }},
      {"in 32 bits that may overflow",
       [](Graph& g) {
         const int kInt32 = 6;
         g.Initializer("32i", kInt32, {1}, std::vector<std::int32_t>{32})
             .Node("ReduceProd", {"s"}, {"all"})
             .Node("Cast", {"all"}, {"i"}, {{"to", kInt32}})
             .Node("Div", {"i", "32i"}, {"q"})
             .Node("Cast", {"q"}, {"m"}, {{"to", kInt64}})
             .Node("Concat", {"m", "32"}, {"form"}, {{"axis", 0}});
       }},
  };
  for (const auto& [name, build] : rows) EXPECT_NE(OfEntries(build).verdict, RowVerdict::kIndependent) << name;
  const RowProof ofRow = OfEntries([](Graph& g) {
    g.Node("Div", {"length", "32"}, {"m"}).Node("Concat", {"n", "m", "32"}, {"form"}, {{"axis", 0}});
  });
  EXPECT_EQ(ofRow.verdict, RowVerdict::kIndependent) << ofRow.reason;
}

// ONNX Runtime makes [-1, 7, 32] of it, which 7 rows of 32 tokens fill as one.
TEST(RowsInEntries, FitForEveryLength) {
  const auto verdict = [](const Ints& rest, bool copies) {
    return OfEntries([=](Graph& g) {
             Numbers(Numbers(g, "rest", rest), "0", {0})
                 .Node("Concat", {copies ? "0" : "n", "rest"}, {"form"}, {{"axis", 0}});
           })
        .verdict;
  };
  for (const Ints& rest : {Ints{7, 32}, Ints{224}, Ints{20, 32}}) {
    EXPECT_NE(verdict(rest, false), RowVerdict::kIndependent);
    EXPECT_EQ(verdict(rest, true), RowVerdict::kIndependent);
  }
  EXPECT_EQ(verdict({32, -1}, false), RowVerdict::kIndependent);
}

// The reader stops at 65 536 entries of a list.
TEST(LongLists, AreNotJudgedByTheirStart) {
  std::vector<int> axes(70'000, 2);
  axes.back() = 0;
  Graph graph;
  graph.Input("x", kFloat, {"batch", 3, 4})
      .Output("y", kFloat, {"batch", 3, 4})
      .Node("MeanVarianceNormalization", {"x"}, {"y"}, {{"axes", axes}});
  const RowProof proof = ProveRows(graph.Model().bytes());
  EXPECT_EQ(proof.verdict, RowVerdict::kNotProven);
  EXPECT_NE(proof.reason.find("longer than is looked at"), std::string::npos) << proof.reason;
  const Build counted = [](Graph& g) {
    g.Initializer<std::int64_t>("66000", kInt64, {}, {66'000})
        .Node("Constant", {}, {"list"}, {{"value_ints", std::vector<int>(70'000, 1)}});
    g.Node("Size", {"list"}, {"count"}).Node("Greater", {"count", "66000"}, {"condition"});
  };
  EXPECT_NE(VerdictOf(counted, true), RowVerdict::kIndependent);
}

}  // namespace
}  // namespace interleave
