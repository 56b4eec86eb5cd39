// Models that are right for most rows beside a longer one, and wrong for some, are not padded.
#include <gtest/gtest.h>

#include "engine_fixture.h"

namespace interleave {
namespace {

using test::Graph;
using test::kBool;
using test::kFloat;
using test::kInt64;

class PaddingProbeTest : public test::EngineTest {
 protected:
  Signature Loaded(const Graph& graph, const SignatureOptions& axes = {}) {
    ModelPlan plan = test::PlanOf(graph.Save(dir_.File("m" + std::to_string(models_++) + ".onnx")));
    plan.options.axes = axes;
    test::LoadedEngine engine(test::With({plan}));
    return engine->models().All()[0]->session()->signature();
  }
  int models_ = 0;
};

// The largest entry of the tokens' rows of a table, `fill` where they are masked. Row `odd` of the table is -50000.
Graph LargestEntry(float fill, int odd, int vocabulary = 900) {
  std::vector<float> table = test::Weights(static_cast<std::size_t>(vocabulary) * 4);
  for (int i = 0; i < 4 && odd >= 0; ++i) table[static_cast<std::size_t>(odd * 4 + i)] = -50'000;
  Graph graph;
  graph.Input("ids", kInt64, {"batch", "tokens"})
      .Input("mask", kInt64, {"batch", "tokens"})
      .Output("y", kFloat, {"batch", 4});
  graph.Initializer("table", kFloat, {vocabulary, 4}, table).Initializer<std::int64_t>("axis2", kInt64, {1}, {2});
  graph.Initializer("fill", kFloat, {}, std::vector<float>{fill})
      .Node("Gather", {"table", "ids"}, {"x"})
      .Node("Unsqueeze", {"mask", "axis2"}, {"column"});
  graph.Node("Cast", {"column"}, {"visible"}, {{"to", kBool}}).Node("Where", {"visible", "x", "fill"}, {"w"});
  return graph.Node("ReduceMax", {"w"}, {"y"}, {{"axes", std::vector<int>{1}}, {"keepdims", 0}});
}

TEST_F(PaddingProbeTest, PadsWhereTheFillIsOutOfReach) {
  const Signature usual = Loaded(LargestEntry(-1e9F, -1));
  EXPECT_EQ(usual.coalesce, CoalesceMode::kPadded) << usual.coalesceReason;
  ASSERT_EQ(usual.extremeIds.size(), 2U);
  EXPECT_EQ(usual.extremeIds[0].size(), 2U);
  EXPECT_TRUE(usual.extremeIds[1].empty());
}

TEST_F(PaddingProbeTest, SaysWhichFillIsNotAndObeysTheOwner) {
  const Signature small = Loaded(LargestEntry(-100, -1));
  EXPECT_EQ(small.coalesce, CoalesceMode::kEqualLength);
  EXPECT_EQ(small.coalesceReason,
            "padding could change answers: Where \"w\" puts a number that real ones may pass where rows are masked; if "
            "padding leaves its answers "
            "alone, set paddingIsSafe: true in model.yaml");
  EXPECT_EQ(Loaded(LargestEntry(-100, -1), {.paddingIsSafe = true}).coalesce, CoalesceMode::kPadded);
}

// None of the made-up rows has this token by chance.
TEST_F(PaddingProbeTest, TriesTheMostUnusualTokens) {
  const Signature odd = Loaded(LargestEntry(-20'000, 40'321, 50'000));
  EXPECT_EQ(odd.coalesce, CoalesceMode::kEqualLength);
  EXPECT_NE(odd.coalesceReason.find("padding changes answers: "), std::string::npos) << odd.coalesceReason;
}

// Rows of up to five tokens are added up over the batch: what Slice leaves of them is empty.
TEST_F(PaddingProbeTest, TriesShortRowsTogether) {
  Graph graph;
  graph.Input("x", kFloat, {"batch", "tokens"}).Output("y", kFloat, {"batch", "tokens"});
  graph.Initializer<std::int64_t>("five", kInt64, {1}, {5})
      .Initializer<std::int64_t>("far", kInt64, {1}, {1 << 30})
      .Initializer<std::int64_t>("axis1", kInt64, {1}, {1});
  graph.Initializer<std::int64_t>("axis0", kInt64, {1}, {0})
      .Initializer("none", kFloat, {}, std::vector<float>{0})
      .Node("Slice", {"x", "five", "far", "axis1"}, {"rest"});
  graph.Node("Mul", {"rest", "none"}, {"zeros"})
      .Node("Exp", {"zeros"}, {"ones"})
      .Node("ReduceMax", {"ones"}, {"any"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}});
  graph.Node("IsInf", {"any"}, {"short"})
      .Node("ReduceSum", {"x", "axis0"}, {"sum"})
      .Node("Where", {"short", "sum", "x"}, {"y"});
  const auto session = Session::Load(
      test::Library(), {.modelPath = graph.Save(dir_.File("short.onnx")), .axes = {.mergeRows = MergeRows::kAlways}});
  ProbeMerging(*session, {.watched = [](ort::RunOptions*, const std::function<void()>& run) { run(); },
                          .rowsMax = 32,
                          .thoroughNs = test::kSecondNs});
  EXPECT_EQ(session->signature().coalesce, CoalesceMode::kAlone) << session->signature().coalesceReason;
}

}  // namespace
}  // namespace interleave
