// The reader of ONNX files on good, cut, damaged and hostile bytes.
#include "graph/onnx_file.h"

#include <gtest/gtest.h>

#include <random>

#include "graph/row_proof.h"
#include "test_models.h"

namespace interleave::graph {
namespace {

using test::Graph;
using test::kFloat;
using test::kInt64;
using test::Message;

Message Sample() {
  return Graph()
      .Input("x", kFloat, {"batch", 4, "", 6})
      .Output("y", kFloat, {"batch", 4, "", 6})
      .Initializer<std::int64_t>("sizes", kInt64, {2}, {7, -1})
      .Initializer("weights", kFloat, {64, 64}, test::Weights(64 * 64))
      .Node("Scale", {"x", "", "weights"}, {"y"},
            {{"by", 2.5F}, {"axes", std::vector<int>{1, -1}}, {"mode", std::string("plain")}}, "example.org")
      .Model(15);
}

std::vector<double> NumbersOf(const Tensor& tensor) { return tensor.numbers.value_or(std::vector<double>{}); }

TEST(OnnxFile, IsReadAsFarAsNeeded) {
  const std::string bytes = Sample().bytes();
  const Model model = ReadModel(bytes);
  EXPECT_EQ(model.opsets.at(""), 15);
  const Declared& input = model.graph.inputs.at(0);
  EXPECT_EQ(input.dims, (std::vector<std::int64_t>{-1, 4, -1, 6}));
  EXPECT_EQ(input.symbols.at(0), "batch");
  const Node& node = model.graph.nodes.at(0);
  EXPECT_EQ(node.inputs, (std::vector<std::string_view>{"x", "", "weights"}));
  EXPECT_EQ(node.domain, "example.org");
  EXPECT_EQ(node.attributes.at(0).number, 2.5);
  EXPECT_EQ(node.attributes.at(1).integers, (std::vector<std::int64_t>{1, -1}));
  EXPECT_EQ(node.attributes.at(2).text, "plain");
  EXPECT_EQ(NumbersOf(model.graph.initializers.at(0)), (std::vector<double>{7, -1}));
  EXPECT_FALSE(model.graph.initializers.at(1).numbers.has_value());
}

Tensor ReadTensorOf(const Message& tensor) {
  static std::string bytes;
  bytes = Message().Child(7, Message().Child(5, tensor)).bytes();
  return std::move(ReadModel(bytes).graph.initializers.at(0));
}

TEST(OnnxFile, ReadsNumbersInEveryEncoding) {
  EXPECT_EQ(NumbersOf(ReadTensorOf(Message().Int(1, 2).Int(2, kInt64).Int(7, 5).Int(7, -5))),
            (std::vector<double>{5, -5}));
  EXPECT_EQ(NumbersOf(ReadTensorOf(Message().Bytes(1, "\x02").Int(2, kInt64).Bytes(7, "\x05\x06"))),
            (std::vector<double>{5, 6}));
  EXPECT_EQ(NumbersOf(ReadTensorOf(Message().Int(2, kFloat).Float(4, 0.5F))), (std::vector<double>{0.5}));
  const float half = 0.5F;
  const std::string_view raw(reinterpret_cast<const char*>(&half), sizeof(half));
  EXPECT_EQ(NumbersOf(ReadTensorOf(Message().Int(2, kFloat).Bytes(9, raw))), (std::vector<double>{0.5}));
  EXPECT_EQ(NumbersOf(ReadTensorOf(Message().Int(1, 1).Int(2, kFloat).Bytes(4, raw))), (std::vector<double>{0.5}));
}

TEST(OnnxFile, LeavesDataInOtherFilesAlone) {
  const Tensor tensor =
      ReadTensorOf(Message().Int(1, 2).Int(2, kInt64).Child(13, Message().Bytes(1, "location")).Int(14, 1));
  EXPECT_EQ(tensor.dims, (std::vector<std::int64_t>{2}));
  EXPECT_FALSE(tensor.numbers.has_value());
}

TEST(OnnxFile, RefusesWhatContradictsItself) {
  EXPECT_THROW(ReadTensorOf(Message().Int(1, 3).Int(2, kInt64).Int(7, 1)), WireError);
  EXPECT_THROW(ReadTensorOf(Message().Int(1, -3).Int(2, kInt64)), WireError);
  EXPECT_THROW(ReadTensorOf(Message().Int(1, std::int64_t{1} << 40).Int(1, std::int64_t{1} << 40).Int(2, kInt64)),
               WireError);
  const Message versions = Message().Child(8, Message().Int(2, 11)).Child(8, Message().Int(2, 13));
  EXPECT_THROW(ReadModel(versions.bytes()), WireError);
}

TEST(OnnxFile, EndsAtGraphsNestedTooDeep) {
  Message graph;
  for (int depth = 0; depth < 10'000; ++depth) {
    Message outer = Message().Child(
        1, Message().Bytes(2, "y").Bytes(4, "If").Child(5, Message().Bytes(1, "then_branch").Child(6, graph)));
    graph = std::move(outer);
    if (graph.bytes().size() > 1 << 16) break;
  }
  EXPECT_THROW(ReadModel(Message().Child(7, graph).bytes()), WireError);
}

TEST(OnnxFile, EndsAtFunctionsThatCallThemselves) {
  const Message call = Message().Bytes(1, "x").Bytes(2, "y").Bytes(4, "again").Bytes(7, "own");
  const Message function = Message().Bytes(1, "again").Bytes(4, "x").Bytes(5, "y").Child(7, call).Bytes(10, "own");
  const Message graph =
      Graph().Input("x", kFloat, {"n"}).Output("y", kFloat, {"n"}).Node("again", {"x"}, {"y"}, {}, "own").message();
  const RowProof proof = ProveRows(Message().Child(7, graph).Child(25, function).bytes());
  EXPECT_EQ(proof.verdict, RowVerdict::kNotProven);
  EXPECT_NE(proof.reason.find("nested too deep"), std::string::npos) << proof.reason;
}

// Functions that call the next one twice each: 2^30 operators in a file of a kilobyte.
TEST(OnnxFile, EndsAtFunctionsThatMultiply) {
  Message model;
  for (int i = 0; i < 30; ++i) {
    const std::string next = i == 29 ? "Neg" : "f" + std::to_string(i + 1);
    const std::string domain = i == 29 ? "" : "own";
    const auto node = [&](const char* from, const char* to) {
      return Message().Bytes(1, from).Bytes(2, to).Bytes(4, next).Bytes(7, domain);
    };
    model.Child(25, Message()
                        .Bytes(1, "f" + std::to_string(i))
                        .Bytes(4, "x")
                        .Bytes(5, "y")
                        .Child(7, node("x", "a"))
                        .Child(7, node("a", "y"))
                        .Bytes(10, "own"));
  }
  model.Child(
      7, Graph().Input("x", kFloat, {"n"}).Output("y", kFloat, {"n"}).Node("f0", {"x"}, {"y"}, {}, "own").message());
  EXPECT_EQ(ProveRows(model.bytes()).verdict, RowVerdict::kNotProven);
}

// Each operator keeps 1024 numbers until the end.
TEST(OnnxFile, EndsAtMoreNumbersThanAreKept) {
  Graph graph;
  graph.Input("x", kFloat, {"n", 1024})
      .Output("y", kFloat, {"n"})
      .Initializer("c0", kFloat, {1024}, test::Weights(1024));
  constexpr int kNodes = 9'000;
  for (int i = 0; i < kNodes; ++i) graph.Node("Neg", {"c" + std::to_string(i)}, {"c" + std::to_string(i + 1)});
  graph.Node("Add", {"x", "c" + std::to_string(kNodes)}, {"y"});
  const RowProof proof = ProveRows(graph.Model().bytes());
  EXPECT_EQ(proof.verdict, RowVerdict::kNotProven);
  EXPECT_NE(proof.reason.find("more than is looked at"), std::string::npos) << proof.reason;
}

// A shape of 65 axes, which thousands of outputs would each get a copy of.
TEST(OnnxFile, EndsAtTensorsOfTooManyAxes) {
  std::vector<test::Dim> dims{"n"};
  dims.resize(65, 1);
  const RowProof proof =
      ProveRows(Graph().Input("x", kFloat, dims).Output("y", kFloat, {"n"}).Node("Neg", {"x"}, {"y"}).Model().bytes());
  EXPECT_EQ(proof.verdict, RowVerdict::kNotProven);
  EXPECT_NE(proof.reason.find("more axes"), std::string::npos) << proof.reason;
}

TEST(OnnxFile, GivesNoShapeToOperatorsWithoutInputs) {
  for (const char* op : {"Shape", "Size", "EyeLike", "Gather", "Concat"}) {
    const RowProof proof =
        ProveRows(Graph().Input("x", kFloat, {"n", 4}).Output("y", kFloat, {"n"}).Node(op, {}, {"y"}).Model().bytes());
    EXPECT_EQ(proof.verdict, RowVerdict::kNotProven) << op;
  }
}

// A size of a half times one of 2 is as many entries as there are, and no tensor has it.
TEST(OnnxFile, KnowsNoHalfEntries) {
  const RowProof proof = ProveRows(Graph()
                                       .Input("x", kFloat, {"n", 1})
                                       .Output("y", kFloat, {"n"})
                                       .Initializer("one", kFloat, {1}, std::vector<float>{1})
                                       .Initializer("sizes", kFloat, {2}, std::vector<float>{0.5F, 2})
                                       .Node("Reshape", {"one", "sizes"}, {"a"})
                                       .Node("Transpose", {"a"}, {"b"})
                                       .Node("Add", {"x", "b"}, {"y"})
                                       .Model()
                                       .bytes());
  EXPECT_EQ(proof.verdict, RowVerdict::kNotProven);
}

TEST(OnnxFile, IsFollowedIntoFunctions) {
  const Message mean = Message()
                           .Bytes(1, "x")
                           .Bytes(2, "y")
                           .Bytes(3, "inner")
                           .Bytes(4, "ReduceMean")
                           .Child(5, Message().Bytes(1, "axes").Bytes(21, "over"));
  const Message function = Message().Bytes(1, "mean").Bytes(4, "x").Bytes(5, "y").Child(7, mean).Bytes(10, "own");
  for (const int axis : {0, 1}) {
    const Message graph = Graph()
                              .Input("x", kFloat, {"n", 3, 4})
                              .Output("y", kFloat, {"n"})
                              .Node("mean", {"x"}, {"y"}, {{"over", std::vector<int>{axis}}}, "own")
                              .message();
    const RowProof proof = ProveRows(Message().Child(7, graph).Child(25, function).bytes());
    EXPECT_EQ(proof.verdict, axis == 0 ? RowVerdict::kMixed : RowVerdict::kIndependent) << proof.reason;
  }
}

TEST(OnnxFile, NeverThrowsOutOfAProof) {
  const std::string good = Graph()
                               .Input("x", kFloat, {"batch", 4, 6})
                               .Output("y", kFloat, {"batch"})
                               .Initializer<std::int64_t>("sizes", kInt64, {3}, {0, 2, -1})
                               .Initializer<std::int64_t>("perm", kInt64, {2, 2}, {0, 1, 2, 3})
                               .Node("Transpose", {"perm"}, {"p"}, {{"perm", std::vector<int>{1, 0}}})
                               .Node("Slice", {"sizes", "p", "p"}, {"s"})
                               .Node("Reshape", {"x", "sizes"}, {"a"})
                               .Node("Concat", {"a", "a"}, {"b"}, {{"axis", 2}})
                               .Node("Softmax", {"b"}, {"y"}, {{"axis", -1}})
                               .Model()
                               .bytes();
  ASSERT_EQ(ProveRows(good).verdict, RowVerdict::kIndependent) << ProveRows(good).reason;
  for (std::size_t size = 0; size < good.size(); ++size) ProveRows(std::string_view(good).substr(0, size));
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
      bad[random() % bad.size()] = static_cast<char>(random());
    ProveRows(bad);
  }
  EXPECT_EQ(ProveRows("").verdict, RowVerdict::kNotProven);
  EXPECT_EQ(ProveRowsOfFile("/nowhere/model.onnx").verdict, RowVerdict::kNotProven);
}

}  // namespace
}  // namespace interleave::graph
