// Operator by place of the rows: what the proof says of each.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>

#include "graph_parts.h"

namespace interleave::graph {
namespace {

using test::Attribute;
using test::Axes;
using test::Graph;
using test::Ints;
using test::kAlone;
using test::kBool;
using test::kFloat;
using test::kInt64;
using test::kTogether;
using test::kUnknown;

struct Case {
  std::string name;
  std::function<void(Graph&)> build;  // from x [batch, 4, 6] to y
  RowVerdict verdict;
  std::string reason;  // is part of it
  int opset = 17;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

// The operator on x with the axes swapped as `perm` says, and swapped back.
Case Turned(const std::string& op, const Axes& perm, const std::vector<Attribute>& attributes, RowVerdict verdict,
            const std::string& reason = "", int opset = 17) {
  Axes back(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) back[static_cast<std::size_t>(perm[i])] = static_cast<int>(i);
  std::string name = op;
  for (const int axis : perm) name += std::to_string(axis);
  for (const auto& attribute : attributes) name += attribute.name;
  const auto build = [=](Graph& graph) {
    graph.Node("Transpose", {"x"}, {"turned"}, {{"perm", perm}})
        .Node(op, {"turned"}, {"done"}, attributes)
        .Node("Transpose", {"done"}, {"y"}, {{"perm", back}});
  };
  return {name + "v" + std::to_string(opset), build, verdict, reason, opset};
}

// The operator on x, with inputs after it.
Case With(const std::string& name, const std::string& op, const std::vector<std::string>& more,
          const std::vector<Attribute>& attributes, const std::function<void(Graph&)>& constants, RowVerdict verdict,
          const std::string& reason = "") {
  return {name,
          [=](Graph& graph) {
            constants(graph);
            std::vector<std::string> inputs{"x"};
            inputs.insert(inputs.end(), more.begin(), more.end());
            graph.Node(op, inputs, {"y"}, attributes);
          },
          verdict, reason};
}

void Nothing(Graph&) {}
std::function<void(Graph&)> Given(const std::string& name, const Ints& values) {
  return [=](Graph& graph) { Numbers(graph, name, values); };
}

std::vector<Case> Reductions() {
  std::vector<Case> cases;
  for (const char* op : {"ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"}) {
    cases.push_back(
        With(std::string(op) + "Rows", op, {}, {{"axes", Axes{0}}}, Nothing, kAlone, "goes over the batch axis"));
    cases.push_back(With(std::string(op) + "All", op, {}, {}, Nothing, kAlone, "goes over the batch axis"));
    cases.push_back(With(std::string(op) + "Columns", op, {}, {{"axes", Axes{1, -1}}}, Nothing, kTogether));
    cases.push_back(Turned(op, {1, 0, 2}, {{"axes", Axes{1}}}, kAlone, "goes over the batch axis"));
    cases.push_back(Turned(op, {1, 0, 2}, {{"axes", Axes{0}}}, kTogether));
  }
  cases.push_back(With("ArgMaxRows", "ArgMax", {}, {{"axis", 0}}, Nothing, kAlone, "picks a row"));
  cases.push_back(With("ArgMaxColumns", "ArgMax", {}, {{"axis", 2}}, Nothing, kTogether));
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax"}) {
    cases.push_back(Turned(op, {0, 1, 2}, {{"axis", 0}}, kAlone, "against each other"));
    cases.push_back(Turned(op, {0, 1, 2}, {}, kTogether));
    cases.push_back(Turned(op, {1, 2, 0}, {}, kAlone, "against each other"));
    cases.push_back(Turned(op, {1, 2, 0}, {{"axis", 1}}, kTogether));
    // Before operator set 13 all axes from `axis` on are one.
    cases.push_back(Turned(op, {1, 2, 0}, {{"axis", 1}}, kAlone, "against each other", 11));
    cases.push_back(Turned(op, {0, 1, 2}, {{"axis", 1}}, kTogether, "", 11));
  }
  return cases;
}

std::vector<Case> Normalizations() {
  const auto scale = [](const Ints& dims) {
    return [dims](Graph& graph) { Weights(Weights(graph, "scale", dims), "bias", dims); };
  };
  const auto batchNormalization = [](Graph& graph) {
    for (const char* name : {"scale", "bias", "mean", "var"}) Weights(graph, name, {4});
  };
  return {
      With("LayerNormalizationLast", "LayerNormalization", {"scale", "bias"}, {}, scale({6}), kTogether),
      With("LayerNormalizationRows", "LayerNormalization", {"scale", "bias"}, {{"axis", 0}}, scale({6}), kAlone,
           "normalises"),
      With("LpNormalizationRows", "LpNormalization", {}, {{"axis", 0}}, Nothing, kAlone, "normalises"),
      With("LpNormalizationColumns", "LpNormalization", {}, {{"axis", 1}}, Nothing, kTogether),
      With("MeanVarianceRows", "MeanVarianceNormalization", {}, {{"axes", Axes{0, 2}}}, Nothing, kAlone, "normalises"),
      With("MeanVarianceColumns", "MeanVarianceNormalization", {}, {{"axes", Axes{1, 2}}}, Nothing, kTogether),
      With("InstanceNormalization", "InstanceNormalization", {"scale", "bias"}, {}, scale({4}), kTogether),
      With("BatchNormalizationInference", "BatchNormalization", {"scale", "bias", "mean", "var"}, {},
           batchNormalization, kTogether),
      With("BatchNormalizationTraining", "BatchNormalization", {"scale", "bias", "mean", "var"}, {{"training_mode", 1}},
           batchNormalization, kAlone, "training"),
      Turned("LRN", {1, 0, 2}, {{"size", 3}}, kAlone, "normalises"),
      Turned("LRN", {0, 1, 2}, {{"size", 3}}, kTogether),
      Turned("GlobalAveragePool", {0, 1, 2}, {}, kTogether),
      Turned("GlobalAveragePool", {1, 2, 0}, {}, kAlone, "channels or a side"),
      Turned("AveragePool", {1, 0, 2}, {{"kernel_shape", Axes{2}}}, kAlone, "channels or a side"),
      Turned("MaxPool", {0, 1, 2}, {{"kernel_shape", Axes{2}}}, kTogether),
      {"DynamicQuantizeLinear",
       [](Graph& graph) {
         graph.Node("DynamicQuantizeLinear", {"x"}, {"q", "s", "z"}).Node("DequantizeLinear", {"q", "s", "z"}, {"y"});
       },
       kAlone, "DynamicQuantizeLinear \"q\" scales by the largest value of all rows together"},
      {"QuantizeLinear",
       [](Graph& graph) {
         Weights(graph, "s", {}).Node("QuantizeLinear", {"x", "s"}, {"q"}).Node("DequantizeLinear", {"q", "s"}, {"y"});
       },
       kTogether, ""},
      With("Random", "RandomNormalLike", {}, {}, Nothing, kAlone, "random"),
      With("Dropout", "Dropout", {}, {}, Nothing, kTogether),
  };
}

std::vector<Case> Places() {
  return {
      With(
          "CumSumRows", "CumSum", {"a"}, {}, [](Graph& g) { Number(g, "a", 0); }, kAlone, "sums up"),
      With(
          "CumSumColumns", "CumSum", {"a"}, {}, [](Graph& g) { Number(g, "a", -1); }, kTogether),
      With("TopKRows", "TopK", {"k"}, {{"axis", 0}}, Given("k", {1}), kAlone, "largest"),
      With("TopKColumns", "TopK", {"k"}, {{"axis", 2}}, Given("k", {2}), kTogether),
      With("GatherRow", "Gather", {"i"}, {}, Given("i", {0}), kAlone, "picks entries"),
      With("GatherColumn", "Gather", {"i"}, {{"axis", 2}}, Given("i", {0}), kTogether),
      With("ConcatRows", "Concat", {"x"}, {{"axis", 0}}, Nothing, kAlone, "joins along"),
      With("ConcatColumns", "Concat", {"x"}, {{"axis", 1}}, Nothing, kTogether),
      With("TileRows", "Tile", {"t"}, {}, Given("t", {2, 1, 1}), kAlone, "repeats"),
      With("TileColumns", "Tile", {"t"}, {}, Given("t", {1, 2, 1}), kTogether),
      With("PadRows", "Pad", {"p"}, {}, Given("p", {1, 0, 0, 0, 0, 0}), kAlone, "pads"),
      With("PadColumns", "Pad", {"p"}, {}, Given("p", {0, 0, 1, 0, 0, 0}), kTogether),
      With("NonZero", "NonZero", {}, {}, Nothing, kAlone, "one list"),
      With("Unique", "Unique", {}, {}, Nothing, kAlone, "one list"),
      With(
          "Compress", "Compress", {"c"}, {{"axis", 1}},
          [](Graph& g) {
            g.Initializer<std::uint8_t>("c", kBool, {4}, {1, 0, 1, 0});
          },
          kAlone, "one list"),
      With("Trilu", "Trilu", {}, {}, Nothing, kTogether),
      Turned("Trilu", {1, 0, 2}, {}, kAlone, "place in the batch"),
      With(
          "SliceRows", "Slice", {"s", "e"}, {}, [](Graph& g) { Numbers(Numbers(g, "s", {0}), "e", {1}); }, kAlone,
          "takes a part"),
      With(
          "SliceRowsReversed", "Slice", {"s", "e", "a", "t"}, {},
          [](Graph& g) { Numbers(Numbers(Numbers(Numbers(g, "s", {-1}), "e", {INT64_MIN}), "a", {0}), "t", {-1}); },
          kAlone, "takes a part"),
      With(
          "SliceRowsAll", "Slice", {"s", "e"}, {},
          [](Graph& g) {
            Numbers(Numbers(g, "s", {0, 0}), "e", {INT64_MAX, 2});
          },
          kTogether),
      With("ReverseSequenceRows", "ReverseSequence", {"n"}, {{"time_axis", 0}, {"batch_axis", 1}},
           Given("n", {1, 1, 1, 1}), kAlone, "as time"),
      With("SplitRows", "Split", {}, {{"axis", 0}}, Nothing, kAlone, "splits"),
      With("SplitColumns", "Split", {}, {{"axis", 1}}, Nothing, kTogether),
      {"CastLikeUint32",
       [](Graph& g) {
         g.Initializer<std::uint32_t>("like", 12, {1}, {0});
         g.Node("CastLike", {"x", "like"}, {"i"}).Node("Cast", {"i"}, {"y"}, {{"to", kFloat}});
       },
       RowVerdict::kMixed, "by their place in a run"},
      {"CastToUint32",
       [](Graph& g) {
         g.Node("Cast", {"x"}, {"i"}, {{"to", 12}}).Node("Cast", {"i"}, {"y"}, {{"to", kFloat}});
       },
       RowVerdict::kMixed, "by their place in a run"},
      {"GatherTable",
       [](Graph& g) {
         Weights(g, "table", {9, 3}).Node("Cast", {"x"}, {"i"}, {{"to", kInt64}}).Node("Gather", {"table", "i"}, {"y"});
       },
       kTogether, ""},
      {"RowNumber",
       [](Graph& g) {
         Number(Number(Number(g, "0", 0), "1", 1), "2", 2)
             .Node("Shape", {"x"}, {"shape"})
             .Node("Gather", {"shape", "0"}, {"rows"})
             .Node("Range", {"0", "rows", "1"}, {"n"})
             .Node("Cast", {"n"}, {"f"}, {{"to", kFloat}})
             .Node("Reshape", {"f", "form"}, {"column"})
             .Node("Add", {"x", "column"}, {"y"});
         Numbers(g, "form", {-1, 1, 1});
       },
       kAlone, "a row's place"},
      {"DividedByRows",
       [](Graph& g) {
         Number(g, "0", 0)
             .Node("Shape", {"x"}, {"shape"})
             .Node("Gather", {"shape", "0"}, {"rows"})
             .Node("Cast", {"rows"}, {"f"}, {{"to", kFloat}})
             .Node("Div", {"x", "f"}, {"y"});
       },
       kAlone, "number of rows"},
      {"DividedByWidth",
       [](Graph& g) {
         Number(g, "2", 2)
             .Node("Shape", {"x"}, {"shape"})
             .Node("Gather", {"shape", "2"}, {"width"})
             .Node("Cast", {"width"}, {"f"}, {{"to", kFloat}})
             .Node("Sqrt", {"f"}, {"r"})
             .Node("Div", {"x", "r"}, {"y"});
       },
       kTogether, ""},
  };
}

std::vector<Case> Shapes() {
  return {
      With("ReshapeKeeping", "Reshape", {"s"}, {}, Given("s", {0, -1}), kTogether),
      With("ReshapeOpen", "Reshape", {"s"}, {}, Given("s", {-1, 24}), kTogether),
      With("ReshapeHeads", "Reshape", {"s"}, {}, Given("s", {-1, 4, 2, 3}), kTogether),
      With("ReshapeToAList", "Reshape", {"s"}, {}, Given("s", {-1}), kUnknown, "one entry for each row"),
      With("ReshapeToOneRow", "Reshape", {"s"}, {}, Given("s", {1, -1}), kUnknown, "one entry for each row"),
      With("ReshapeAcross", "Reshape", {"s"}, {}, Given("s", {4, -1, 6}), kAlone, "moves values between rows"),
      With("ReshapeByAnotherSize", "Reshape", {"s"}, {}, Given("s", {-1, 5}), kUnknown, "does not fit"),
      With("FlattenRows", "Flatten", {}, {}, Nothing, kTogether),
      With("FlattenAll", "Flatten", {}, {{"axis", 0}}, Nothing, kUnknown, "one entry for each row"),
      With("SqueezeAny", "Squeeze", {}, {}, Nothing, kUnknown, "may be the batch"),
      With("TransposeOut", "Transpose", {}, {{"perm", Axes{1, 0, 2}}}, Nothing, kUnknown, "one entry for each row"),
      {"FoldedAndBack",
       [](Graph& g) {
         Numbers(Numbers(g, "folded", {-1, 6}), "back", {-1, 4, 6});
         Weights(g, "w", {6, 6});
         g.Node("Reshape", {"x", "folded"}, {"a"})
             .Node("MatMul", {"a", "w"}, {"b"})
             .Node("Reshape", {"b", "back"}, {"y"});
       },
       kTogether, ""},
      {"FoldedAndReduced",
       [](Graph& g) {
         Numbers(g, "folded", {-1, 6});
         g.Node("Reshape", {"x", "folded"}, {"a"})
             .Node("ReduceMax", {"a"}, {"m"}, {{"axes", Axes{0}}})
             .Node("Sub", {"x", "m"}, {"y"});
       },
       kAlone, "goes over the batch axis"},
      {"TurnedAndFolded",
       [](Graph& g) {
         Numbers(Numbers(g, "folded", {-1, 6}), "back", {-1, 4, 6});
         g.Node("Transpose", {"x"}, {"t"}, {{"perm", Axes{1, 0, 2}}})
             .Node("Reshape", {"t", "folded"}, {"a"})
             .Node("Reshape", {"a", "back"}, {"y"});
       },
       kAlone, "moves values between rows"},
      {"ExpandedToTheRows",
       [](Graph& g) {
         Weights(g, "w", {1, 4, 6})
             .Node("Shape", {"x"}, {"s"})
             .Node("Expand", {"w", "s"}, {"e"})
             .Node("Add", {"x", "e"}, {"y"});
       },
       kTogether, ""},
      {"OuterProduct",
       [](Graph& g) {
         Numbers(Numbers(g, "column", {-1, 1, 24}), "row", {1, -1, 24});
         g.Node("Reshape", {"x", "column"}, {"a"})
             .Node("Reshape", {"x", "row"}, {"b"})
             .Node("Mul", {"a", "b"}, {"c"})
             .Node("ReduceSum", {"c", "one"}, {"y"}, {{"keepdims", 0}});
         Numbers(g, "one", {1});
       },
       kAlone, "two axes"},
      {"AgainstAnotherAxis",
       [](Graph& g) {
         g.Node("Transpose", {"x"}, {"t"}, {{"perm", Axes{1, 0, 2}}}).Node("Add", {"x", "t"}, {"y"});
       },
       kAlone, "against another axis"},
  };
}

// Doubles the last axis of x in this shape.
Case Interpolated(const std::string& op, const std::string& mode, const Ints& shape, RowVerdict verdict,
                  int opset = 17) {
  const auto build = [=](Graph& g) {
    std::vector<float> scales(shape.size(), 1);
    scales.back() = 2;
    std::vector<std::string> inputs{"shaped", "k"};
    if (op == "Resize") inputs.insert(inputs.begin() + 1, "");
    Numbers(g, "shape", shape)
        .Initializer("k", kFloat, {static_cast<std::int64_t>(shape.size())}, scales)
        .Node("Reshape", {"x", "shape"}, {"shaped"})
        .Node(op, inputs, {"wide"}, {{"mode", mode}});
    shape[0] == 0 ? g.Node("Identity", {"wide"}, {"y"})
                  : g.Node("Transpose", {"wide"}, {"y"}, {{"perm", Axes{1, 0, 2, 3}}});
  };
  return {op + mode + std::to_string(shape.size()) + (shape[0] == 0 ? "" : "Turned"), build, verdict,
          verdict == kAlone ? "blends along the batch axis" : "", opset};
}

std::vector<Case> Products() {
  return {
      With(
          "MatMulWeights", "MatMul", {"w"}, {},
          [](Graph& g) {
            Weights(g, "w", {6, 5});
          },
          kTogether),
      {"MatMulOwn",
       [](Graph& g) {
         g.Node("Transpose", {"x"}, {"t"}, {{"perm", Axes{0, 2, 1}}}).Node("MatMul", {"x", "t"}, {"y"});
       },
       kTogether, ""},
      {"MatMulOverRows",
       [](Graph& g) {
         Numbers(g, "f", {-1, 24});
         g.Node("Reshape", {"x", "f"}, {"a"})
             .Node("Transpose", {"a"}, {"t"})
             .Node("MatMul", {"t", "a"}, {"c"})
             .Node("MatMul", {"a", "c"}, {"y"});
       },
       kAlone, "sums over the batch axis"},
      {"GemmOverRows",
       [](Graph& g) {
         Numbers(g, "f", {-1, 24});
         g.Node("Reshape", {"x", "f"}, {"a"})
             .Node("Gemm", {"a", "a"}, {"c"}, {{"transA", 1}})
             .Node("MatMul", {"a", "c"}, {"y"});
       },
       kAlone, "sums over the batch axis"},
      {"GemmOfRowPairs",
       [](Graph& g) {
         Numbers(g, "f", {-1, 24});
         g.Node("Reshape", {"x", "f"}, {"a"}).Node("Gemm", {"a", "a"}, {"y"}, {{"transB", 1}});
       },
       kAlone, "two axes"},
      With("EinsumOwn", "Einsum", {"x"}, {{"equation", std::string("bij,bkj->bik")}}, Nothing, kTogether),
      With("EinsumOverRows", "Einsum", {"x"}, {{"equation", std::string("bij,bij->ij")}}, Nothing, kAlone,
           "sums over the batch axis"),
      With("EinsumOfRowPairs", "Einsum", {"x"}, {{"equation", std::string("aij,bij->ab")}}, Nothing, kAlone,
           "two axes"),
      With(
          "Conv", "Conv", {"w"}, {},
          [](Graph& g) {
            Weights(g, "w", {5, 4, 3});
          },
          kTogether),
      {"ConvOverRows",
       [](Graph& g) {
         Weights(g, "w", {4, 4, 3})
             .Node("Transpose", {"x"}, {"t"}, {{"perm", Axes{2, 1, 0}}})
             .Node("Conv", {"t", "w"}, {"c"}, {{"pads", Axes{1, 1}}})
             .Node("Transpose", {"c"}, {"y"}, {{"perm", Axes{2, 1, 0}}});
       },
       kAlone, "channels or a side"},
      With(
          "ResizeColumns", "Resize", {"", "k"}, {},
          [](Graph& g) {
            g.Initializer("k", kFloat, {3}, std::vector<float>{1, 1, 2});
          },
          kTogether),
      With(
          "ResizeRows", "Resize", {"", "k"}, {},
          [](Graph& g) {
            g.Initializer("k", kFloat, {3}, std::vector<float>{2, 1, 1});
          },
          kAlone, "resizes"),
      Interpolated("Resize", "linear", {0, 24}, kAlone),
      Interpolated("Resize", "linear", {0, 4, 6}, kAlone),
      Interpolated("Resize", "cubic", {0, 24}, kAlone),
      Interpolated("Upsample", "linear", {0, 4, 6}, kAlone, 9),
      Interpolated("Resize", "linear", {1, -1, 4, 6}, kAlone),
      Interpolated("Resize", "linear", {0, 1, 4, 6}, kTogether),
      Interpolated("Resize", "cubic", {0, 1, 4, 6}, kTogether),
      Interpolated("Resize", "nearest", {0, 4, 6}, kTogether),
  };
}

Graph& Lstm(Graph& g, const std::string& from, const std::string& to, int layout = 0) {
  Weights(Weights(g, "w", {1, 20, 6}), "r", {1, 20, 5});
  return g.Node("LSTM", {from, "w", "r"}, {"all", to}, {{"hidden_size", 5}, {"layout", layout}});
}

Graph Body(const std::string& op, const std::vector<Attribute>& attributes) {
  return Graph("body")
      .Input("state", kFloat, {})
      .Input("slice", kFloat, {})
      .Output("stateOut", kFloat, {})
      .Output("sliceOut", kFloat, {})
      .Node(op, {"slice"}, {"part"}, attributes)
      .Node("Add", {"state", "part"}, {"stateOut"})
      .Node("Identity", {"stateOut"}, {"sliceOut"});
}

std::vector<Case> Sequences() {
  const auto scan = [](int axis, const std::string& op, const std::vector<Attribute>& attributes) {
    return [=](Graph& g) {
      Number(g, "0", 0)
          .Node("Gather", {"x", "0"}, {"first"}, {{"axis", axis == 0 ? 1 : axis}})
          .Node("Scan", {"first", "x"}, {"last", "y"},
                {{"num_scan_inputs", 1},
                 {"scan_input_axes", Axes{axis}},
                 {"scan_output_axes", Axes{axis}},
                 {"body", Body(op, attributes).message()}});
    };
  };
  const auto branch = [](const std::string& op, const std::vector<Attribute>& attributes) {
    return Graph("branch").Output("out", kFloat, {}).Node(op, {"x"}, {"out"}, attributes).message();
  };
  const auto decide = [=](const std::function<void(Graph&)>& condition, const std::string& op,
                          const std::vector<Attribute>& attributes) {
    return [=](Graph& g) {
      condition(g);
      g.Node("If", {"c"}, {"y"}, {{"then_branch", branch(op, attributes)}, {"else_branch", branch("Relu", {})}});
    };
  };
  const auto always = [](Graph& g) { g.Initializer<std::uint8_t>("c", kBool, {}, {1}); };
  const auto byRows = [](Graph& g) {
    Number(Number(g, "0", 0), "9", 9)
        .Node("Shape", {"x"}, {"s"})
        .Node("Gather", {"s", "0"}, {"b"})
        .Node("Less", {"b", "9"}, {"c"});
  };
  const auto byValues = [](Graph& g) {
    Weights(g, "limit", {})
        .Node("ReduceMax", {"x"}, {"m"}, {{"keepdims", 0}, {"axes", Axes{1, 2}}})
        .Node("Less", {"m", "limit"}, {"c"});
  };
  const std::vector<Attribute> softmax0{{"axis", 0}};
  return {
      {"LstmTimeFirst",
       [](Graph& g) {
         Lstm(g, "x", "h").Node("Add", {"h", "h"}, {"y"});
       },
       kAlone, "as time"},
      {"LstmBatchFirst", [](Graph& g) { Lstm(g, "x", "y", 1); }, kTogether, ""},
      {"LstmTurned",
       [](Graph& g) {
         Numbers(g, "dir", {0});
         g.Node("Transpose", {"x"}, {"t"}, {{"perm", Axes{1, 0, 2}}});
         Lstm(g, "t", "h").Node("Squeeze", {"h", "dir"}, {"y"});
       },
       kTogether, ""},
      {"ScanOverRows", scan(0, "Identity", {}), kAlone, "step by step"},
      {"ScanOverTime", scan(1, "Identity", {}), kTogether, ""},
      {"ScanOverTimeMixingInside", scan(1, "Softmax", {{"axis", 0}}), kAlone, "against each other"},
      {"IfKnown", decide(always, "Neg", {}), kTogether, ""},
      {"IfKnownMixing", decide(always, "Softmax", softmax0), kAlone, "against each other"},
      {"IfByRows", decide(byRows, "Neg", {}), kAlone, "number of rows"},
      {"IfByValues", decide(byValues, "Neg", {}), kAlone, "by their values"},
      {"UnknownOperator", [](Graph& g) { g.Node("Puzzle", {"x"}, {"y"}, {}, "example.org"); }, kUnknown, "Puzzle"},
      {"UnknownOnWeights",
       [](Graph& g) {
         Weights(g, "w", {6}).Node("Puzzle", {"w"}, {"p"}, {}, "example.org").Node("Add", {"x", "p"}, {"y"});
       },
       kUnknown, "unknown shape"},
      {"UnusedPart",
       [](Graph& g) {
         g.Node("ReduceMean", {"x"}, {"unused"}, {{"axes", Axes{0}}}).Node("Neg", {"x"}, {"y"});
       },
       kTogether, ""},
  };
}

// What PyTorch's exports make of attention masks: each row looks up its own part of a mask by its number.
void OwnPart(Graph& g, int shift) {
  Numbers(Numbers(g, "flat", {-1}), "form", {-1, 1});
  Number(Number(Number(Number(g, "0", 0), "1", 1), "24", 24), "shift", shift);
  Numbers(g, "kv", Ints{0, 1, 2, 3});
  g.Node("Reshape", {"x", "flat"}, {"list"})
      .Node("Shape", {"x"}, {"s"})
      .Node("Gather", {"s", "0"}, {"b"})
      .Node("Range", {"0", "b", "1"}, {"n"})
      .Node("Reshape", {"n", "form"}, {"column"})
      .Node("Mul", {"column", "24"}, {"start"})
      .Node("Add", {"start", "kv"}, {"own"})
      .Node("Add", {"own", "shift"}, {"i"})
      .Node("Gather", {"list", "i"}, {"y"});
}

std::vector<Case> OwnPlaces() {
  return {
      {"OwnPartOfAList", [](Graph& g) { OwnPart(g, 0); }, kTogether, ""},
      {"NextPartOfAList", [](Graph& g) { OwnPart(g, 21); }, kAlone, "picks entries"},
  };
}

class Rows : public testing::TestWithParam<Case> {};

TEST_P(Rows, AreFollowed) {
  const Case& row = GetParam();
  Graph graph;
  graph.Input("x", kFloat, {"batch", 4, 6});
  row.build(graph);
  graph.Output("y", kFloat, {"batch"});
  const RowProof proof = ProveRows(graph.Model(row.opset).bytes());
  EXPECT_EQ(proof.verdict, row.verdict) << proof.reason;
  EXPECT_NE(proof.reason.find(row.reason), std::string::npos) << proof.reason;
  EXPECT_EQ(proof.reason.empty(), row.verdict == kTogether);
}

std::string NameOf(const testing::TestParamInfo<Case>& info) {
  return info.param.name + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Reductions, Rows, testing::ValuesIn(Reductions()), NameOf);
INSTANTIATE_TEST_SUITE_P(Normalizations, Rows, testing::ValuesIn(Normalizations()), NameOf);
INSTANTIATE_TEST_SUITE_P(Places, Rows, testing::ValuesIn(Places()), NameOf);
INSTANTIATE_TEST_SUITE_P(Shapes, Rows, testing::ValuesIn(Shapes()), NameOf);
INSTANTIATE_TEST_SUITE_P(Products, Rows, testing::ValuesIn(Products()), NameOf);
INSTANTIATE_TEST_SUITE_P(Sequences, Rows, testing::ValuesIn(Sequences()), NameOf);
INSTANTIATE_TEST_SUITE_P(OwnPlaces, Rows, testing::ValuesIn(OwnPlaces()), NameOf);

}  // namespace
}  // namespace interleave::graph
