// What large runs leave behind in the process.
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <string>

#include "engine_fixture.h"

namespace interleave {
namespace {

using test::Answer;
using test::LoadedEngine;
using test::PlanOf;
using test::TensorOf;
using test::With;

constexpr std::int64_t kWidth = 128;
constexpr std::int64_t kLargeRows = 1024;
// What one run of so many rows holds at a time.
constexpr std::int64_t kLargeBytes = kLargeRows * kWidth * kWidth * 4;

std::int64_t AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "RssAnon:") continue;
    std::int64_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
  return -1;
}

// x [N, 128] -> y [N], by way of [N, 128, 128].
std::string Wide(const std::string& path) {
  return test::Graph()
      .Input("x", test::kFloat, {"N", static_cast<int>(kWidth)})
      .Output("y", test::kFloat, {"N"})
      .Initializer<std::int64_t>("two", test::kInt64, {1}, {2})
      .Initializer<std::int64_t>("both", test::kInt64, {2}, {1, 2})
      .Initializer("w", test::kFloat, {1, kWidth}, test::Weights(static_cast<std::size_t>(kWidth)))
      .Node("Unsqueeze", {"x", "two"}, {"column"})
      .Node("MatMul", {"column", "w"}, {"square"})
      .Node("ReduceSum", {"square", "both"}, {"y"}, {{"keepdims", 0}})
      .Save(path);
}

class MemoryTest : public test::EngineTest {
 protected:
  ProbeResult Measure(LoadedEngine& engine, std::int64_t rows, bool trims) {
    std::promise<ProbeResult> result;
    engine->Measure(
        1, {.rows = rows, .trims = trims, .done = [&](const ProbeResult& r) { result.set_value(r); }});
    return result.get_future().get();
  }
  Answer Run(LoadedEngine& engine, std::uint64_t id, std::int64_t rows) {
    const std::vector<float> ones(static_cast<std::size_t>(rows * kWidth), 1);
    engine->OnItem(Make(id, {TensorOf(ElementType::kFloat32, {rows, kWidth}, ones)}));
    return AnswerTo(id);
  }
};

TEST_F(MemoryTest, OfMeasuringGoesBackWhenAskedTo) {
  LoadedEngine engine(With({PlanOf(Wide(dir_.File("wide.onnx")))}, Lane::kBatch));
  ASSERT_EQ(Measure(engine, 1, true).error, "");
  const std::int64_t before = AnonymousBytes();
  ASSERT_EQ(Measure(engine, kLargeRows, false).error, "");
  EXPECT_GT(AnonymousBytes(), before + kLargeBytes / 2) << "the runtime kept nothing: this test shows nothing";
  ASSERT_EQ(Measure(engine, 1, true).error, "");
  EXPECT_LT(AnonymousBytes(), before + kLargeBytes / 4);
}

TEST_F(MemoryTest, OfRunsPastTheLimitOfSharedRunsGoesBack) {
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    ModelPlan plan = PlanOf(Wide(dir_.File("wide.onnx")));
    LoadedEngine outsized(With({plan}, lane));
    plan.runRowsMax = kLargeRows;
    plan.runTokensMax = kLargeRows;
    LoadedEngine ordinary(With({plan}, lane));
    std::uint64_t id = lane == Lane::kBatch ? 10 : 1;
    // The runtime never gives back the first piece of an arena, which is as large as the first run.
    EXPECT_EQ(Run(outsized, id++, 1).status, ItemStatus::kOk);
    EXPECT_EQ(Run(ordinary, id++, 1).status, ItemStatus::kOk);
    const std::int64_t before = AnonymousBytes();
    EXPECT_EQ(Run(outsized, id++, kLargeRows).status, ItemStatus::kOk);
    EXPECT_EQ(Run(outsized, id++, 1).status, ItemStatus::kOk);
    EXPECT_LT(AnonymousBytes(), before + kLargeBytes / 4);
    EXPECT_EQ(Run(ordinary, id++, kLargeRows).status, ItemStatus::kOk);
    EXPECT_EQ(Run(ordinary, id++, 1).status, ItemStatus::kOk);
    EXPECT_GT(AnonymousBytes(), before + kLargeBytes / 2) << "kept for the next one";
  }
}

}  // namespace
}  // namespace interleave
