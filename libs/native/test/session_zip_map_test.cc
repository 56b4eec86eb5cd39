// Outputs that are no tensors: cut off, left out or refused.
#include "session/zip_map.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "session/session.h"
#include "test_models.h"

namespace interleave {
namespace {

using test::Dims;
using test::Graph;
using test::kFloat;
using test::kInt64;

constexpr const char* kClassical = "ai.onnx.ml";

// As skl2onnx ends a classifier: x [N, 2] -> label [N], output_probability, a sequence of maps.
Graph Classifier() {
  Graph graph;
  graph.Input("x", kFloat, {"N", 2})
      .Output("label", kInt64, {"N"})
      .MapsOutput("output_probability")
      .Node("Mul", {"x", "x"}, {"probabilities"})
      .Node("ArgMax", {"x"}, {"label"}, {{"axis", 1}, {"keepdims", 0}})
      .Node("ZipMap", {"probabilities"}, {"output_probability"}, {{"classlabels_int64s", std::vector<int>{0, 1}}},
            kClassical);
  return graph;
}

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class ZipMapTest : public testing::Test {
 protected:
  std::unique_ptr<Session> Load(const Graph& graph) {
    return Session::Load(test::Library(), {.modelPath = graph.Save(dir_.File("m.onnx"))});
  }
  std::string RefusalOf(const Graph& graph) {
    try {
      Load(graph);
    } catch (const SignatureError& error) {
      return error.what();
    }
    return "";
  }
  test::TempDir dir_;
};

TEST_F(ZipMapTest, OutputsAreServedAsTheirTensors) {
  const auto session = Load(Classifier());
  const Signature& signature = session->signature();
  ASSERT_EQ(signature.outputs.size(), 2U);
  EXPECT_EQ(signature.outputs[1].name, "output_probability");
  EXPECT_EQ(signature.outputs[1].type, ElementType::kFloat32);
  ASSERT_EQ(signature.outputs[1].shape.rank, 2);
  EXPECT_EQ(signature.outputs[1].shape.dims[1], 2);
}

TEST_F(ZipMapTest, AreCutOffWhereRunsHaveHelpersToo) {
  const auto session = Session::Load(
      test::Library(), {.modelPath = Classifier().Save(dir_.File("m.onnx")), .helpers = {.cpus = {{0, 0}, {0, 0}}}});
  EXPECT_EQ(session->signature().outputs.size(), 2U);
  EXPECT_EQ(session->helpers(0).size(), 2U);
  EXPECT_EQ(session->helpers(1).size(), 2U);
}

TEST_F(ZipMapTest, OutputsHaveAColumnForEachLabelWhateverTheRuntimeInfers) {
  Graph graph;
  graph.Input("x", kFloat, {"N", 2})
      .Input("shape", kInt64, {2})
      .MapsOutput("scores")
      .Node("Reshape", {"x", "shape"}, {"probabilities"})
      .Node("ZipMap", {"probabilities"}, {"scores"}, {{"classlabels_int64s", std::vector<int>{5, 300, 70000}}},
            kClassical);
  const Shape shape = Load(graph)->signature().outputs[0].shape;
  EXPECT_EQ(ShapeText(shape), "[-1,3]");
}

TEST_F(ZipMapTest, OutputsThatAreNoTensorsAreLeftOutWhereThereAreOthers) {
  Graph graph;
  graph.Input("x", kFloat, {"N", 2})
      .SequenceOutput("parts")
      .Output("count", kInt64, {})
      .Initializer<std::int64_t>("one", kInt64, {}, {1})
      .Node("SplitToSequence", {"x", "one"}, {"parts"})
      .Node("SequenceLength", {"parts"}, {"count"});
  const auto session = Load(graph);
  ASSERT_EQ(session->signature().outputs.size(), 1U);
  EXPECT_EQ(session->signature().outputs[0].name, "count");
}

TEST_F(ZipMapTest, SequencesAreRefusedWithWhatWouldWork) {
  Graph output;
  output.Input("x", kFloat, {"N", 2})
      .Initializer<std::int64_t>("one", kInt64, {}, {1})
      .Node("SplitToSequence", {"x", "one"}, {"s"});
  output.SequenceOutput("s");
  const std::string refusal = RefusalOf(output);
  for (const char* word : {"output \"s\"", "sequence", "ConcatFromSequence", "zipmap=False"}) {
    EXPECT_NE(refusal.find(word), std::string::npos) << word << " in: " << refusal;
  }
  Graph input;
  input.SequenceInput("s").Output("y", kInt64, {}).Node("SequenceLength", {"s"}, {"y"});
  EXPECT_NE(RefusalOf(input).find("input \"s\" is a sequence"), std::string::npos) << RefusalOf(input);
  EXPECT_NE(RefusalOf(input).find("SplitToSequence"), std::string::npos);
}

TEST_F(ZipMapTest, WhatTheRefusalsAdviseIsServed) {
  Graph graph;
  graph.Input("x", kFloat, {"N", 2})
      .Output("y", kFloat, {"N", 2})
      .Initializer<std::int64_t>("one", kInt64, {}, {1})
      .Node("SplitToSequence", {"x", "one"}, {"parts"})
      .Node("ConcatFromSequence", {"parts"}, {"y"}, {{"axis", 0}});
  EXPECT_EQ(Load(graph)->signature().outputs[0].name, "y");
}

TEST_F(ZipMapTest, OtherModelsAndDamagedFilesStayAsTheyAre) {
  EXPECT_EQ(WithoutZipMaps(Content(test::Dense(dir_.File("dense.onnx")))), std::nullopt);
  const std::string model = Content(Classifier().Save(dir_.File("m.onnx")));
  ASSERT_TRUE(WithoutZipMaps(model).has_value());
  for (std::size_t bytes = 0; bytes < model.size(); ++bytes) {
    WithoutZipMaps(model.substr(0, bytes));  // must not read past the end
    std::string damaged = model;
    damaged[bytes] = static_cast<char>(~damaged[bytes]);
    WithoutZipMaps(damaged);
  }
}

}  // namespace
}  // namespace interleave
