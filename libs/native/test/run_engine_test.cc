// The whole worker but the channel: real runtime, real executors.
#include <gtest/gtest.h>

#include <future>

#include "clock.h"
#include "engine_fixture.h"

namespace interleave {
namespace {

using test::Answer;
using test::Count;
using test::kForever;
using test::kSecondNs;
using test::LoadedEngine;
using test::PlanOf;
using test::TensorOf;
using test::Text;
using test::With;

using EngineTest = test::EngineTest;

TEST_F(EngineTest, AnswersWithOutputsAndTimes) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  engine->OnItem(Make(1, Text(5)));
  const Answer answer = AnswerTo(1);
  EXPECT_EQ(answer.status, ItemStatus::kOk) << answer.message;
  EXPECT_EQ(ShapeText(answer.outputs.at(0).shape), "[1,5,4]");
  EXPECT_EQ(answer.timesMarkedRunning, 1);
  EXPECT_EQ(answer.times.runRows, 1U);
  EXPECT_LE(answer.times.enqueuedNs, answer.times.startedNs);
  EXPECT_LE(answer.times.startedNs, answer.times.endedNs);
}

TEST_F(EngineTest, RunsInTheBatchLaneAsWell) {
  LoadedEngine engine(With({PlanOf(encoder_)}, Lane::kBatch));
  for (std::uint64_t id = 1; id <= 20; ++id) engine->OnItem(Make(id, Text(static_cast<std::int64_t>(id))));
  for (const auto& [id, answer] : inbox_.Wait(20)) EXPECT_EQ(answer.status, ItemStatus::kOk) << answer.message;
}

TEST_F(EngineTest, SharesNoRunWithAnItemThatIsToRunAlone) {
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    test::Inbox inbox;
    LoadedEngine engine(With({PlanOf(encoder_), PlanOf(counting_, kSecondNs / 4)}, lane));
    const auto put = [&](std::uint64_t id, std::vector<test::Tensor> inputs, std::uint32_t model, bool alone) {
      Item item = test::MakeItem(inbox, id, std::move(inputs));
      item.revision = model + 1;
      item.alone = alone;
      engine->OnItem(std::move(item));
    };
    put(1, Count(kForever), 1, false);
    inbox.WaitUntilRunning(1);
    for (std::uint64_t id = 2; id < 62; ++id) put(id, Text(7, static_cast<std::int64_t>(id % 3)), 0, id % 3 == 0);
    const auto answers = inbox.Wait(61);
    std::uint32_t together = 0;
    for (std::uint64_t id = 2; id < 62; ++id) {
      ASSERT_EQ(answers.at(id).status, ItemStatus::kOk) << answers.at(id).message;
      together = std::max(together, answers.at(id).times.runRows);
      if (id % 3 != 0) continue;
      EXPECT_EQ(answers.at(id).times.runRows, 1U) << id;
      EXPECT_EQ(answers.at(id).outputs.at(0).bytes, answers.at(3).outputs.at(0).bytes) << id;
    }
    EXPECT_GT(together, 1U) << "there was nothing to share with";
  }
}

TEST_F(EngineTest, RunsWhatGoesAheadBesideARunInProgress) {
  LoadedEngine engine(With({PlanOf(counting_), PlanOf(encoder_)}));
  Occupy(engine);
  engine->OnItem(Make(2, Text(5, 2), 1));  // not a duplicate of the next
  Item ahead = Make(3, Text(5), 1);
  ahead.ahead = true;
  engine->OnItem(std::move(ahead));
  const Answer answer = AnswerTo(3);
  EXPECT_EQ(answer.status, ItemStatus::kOk) << answer.message;
  EXPECT_EQ(answer.times.runRows, 1U);
  EXPECT_EQ(engine->models().All()[1]->gauge().items, 1) << "the other one waits for the executor";
}

TEST_F(EngineTest, RunsEmptyTensorsAndGraphsWithoutInputs) {
  const std::string echo = test::Graph()
                               .Input("x", test::kFloat, {"N", "M"})
                               .Output("y", test::kFloat, {"N", "M"})
                               .Node("Identity", {"x"}, {"y"})
                               .Save(dir_.File("echo.onnx"));
  const std::string constant = test::Graph()
                                   .Output("y", test::kFloat, {2})
                                   .Initializer("c", test::kFloat, {2}, std::vector<float>{3, 4})
                                   .Node("Neg", {"c"}, {"y"})
                                   .Save(dir_.File("constant.onnx"));
  const std::string strings = test::Graph()
                                  .Input("x", 8, {"N"})
                                  .Output("y", 8, {"N"})
                                  .Node("Identity", {"x"}, {"y"})
                                  .Save(dir_.File("strings.onnx"));
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    test::Inbox inbox;
    LoadedEngine engine(With({PlanOf(echo), PlanOf(constant), PlanOf(strings)}, lane));
    const auto answerTo = [&](std::uint64_t id, std::vector<test::Tensor> inputs, std::uint32_t model) {
      Item item = test::MakeItem(inbox, id, std::move(inputs));
      item.revision = model + 1;
      engine->OnItem(std::move(item));
      return inbox.WaitFor(id);
    };
    std::uint64_t id = 0;
    for (const auto& [dims, text] : std::vector<std::pair<std::vector<std::int64_t>, std::string>>{
             {{0, 4}, "[0,4]"}, {{3, 0}, "[3,0]"}, {{0, 0}, "[0,0]"}}) {
      const Answer answer = answerTo(++id, {TensorOf<float>(ElementType::kFloat32, dims, {})}, 0);
      ASSERT_EQ(answer.status, ItemStatus::kOk) << answer.message;
      EXPECT_EQ(ShapeText(answer.outputs.at(0).shape), text);
      EXPECT_EQ(answer.outputs.at(0).bytes.size(), 0U);
      EXPECT_EQ(answer.times.runRows, static_cast<std::uint32_t>(dims[0]));
    }
    const Answer none = answerTo(++id, {}, 1);
    ASSERT_EQ(none.status, ItemStatus::kOk) << none.message;
    EXPECT_EQ(none.outputs.at(0).As<float>(), (std::vector<float>{-3, -4}));
    const Answer noStrings = answerTo(++id, {TensorOf<char>(ElementType::kString, {0}, {})}, 2);
    ASSERT_EQ(noStrings.status, ItemStatus::kOk) << noStrings.message;
    EXPECT_EQ(ShapeText(noStrings.outputs.at(0).shape), "[0]");
  }
}

// a [N, S], b [N, S] -> y = a + b: one name, but the runtime broadcasts.
TEST_F(EngineTest, LeavesItToTheRuntimeWhetherSizesOfOneNameMayDiffer) {
  const std::string sum = test::Graph()
                              .Input("a", test::kFloat, {"N", "S"})
                              .Input("b", test::kFloat, {"N", "S"})
                              .Output("y", test::kFloat, {"N", "S"})
                              .Node("Add", {"a", "b"}, {"y"})
                              .Save(dir_.File("sum.onnx"));
  LoadedEngine engine(With({PlanOf(sum)}));
  const auto ones = [](std::int64_t rows, std::int64_t length) {
    return TensorOf(ElementType::kFloat32, {rows, length},
                    std::vector<float>(static_cast<std::size_t>(rows * length), 1));
  };
  engine->OnItem(Make(1, {ones(2, 3), ones(1, 3)}));
  Answer answer = AnswerTo(1);
  ASSERT_EQ(answer.status, ItemStatus::kOk) << answer.message;
  EXPECT_EQ(answer.outputs.at(0).As<float>(), std::vector<float>(6, 2));
  engine->OnItem(Make(2, {ones(1, 3), ones(4, 1)}));
  answer = AnswerTo(2);
  ASSERT_EQ(answer.status, ItemStatus::kOk) << answer.message;
  EXPECT_EQ(ShapeText(answer.outputs.at(0).shape), "[4,3]");
  engine->OnItem(Make(3, {ones(2, 3), ones(2, 4)}));
  answer = AnswerTo(3);
  EXPECT_EQ(answer.status, ItemStatus::kInvalid);
  EXPECT_NE(answer.message.find("expected 3 as sequence length as in input \"a\" but received 4"), std::string::npos)
      << answer.message;
}

TEST_F(EngineTest, ReportsModelsThatDoNotLoadAndServesTheOthers) {
  LoadedEngine engine(With({PlanOf(dir_.File("missing.onnx")), PlanOf(encoder_)}));
  EXPECT_EQ(engine->models().All()[0]->state(), ModelState::kFailed);
  EXPECT_NE(engine->models().All()[0]->reason().find("missing.onnx"), std::string::npos);
  EXPECT_EQ(engine->models().All()[1]->state(), ModelState::kReady);
  engine->OnItem(Make(1, Text(5), 0));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kUnavailable);
  engine->OnItem(Make(2, Text(5), 1));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kOk);
}

TEST_F(EngineTest, WritesItsReportAsJson) {
  LoadedEngine engine(With({PlanOf(dir_.File("missing \"1\".onnx")), PlanOf(encoder_)}));
  const std::string json = WorkerReportJson("all-realtime", Lane::kRealtime, engine->models());
  EXPECT_NE(json.find(R"({"workerId":"all-realtime","lane":"realtime","models":[{"name":"model","version":"1",)"
                      R"("revision":1,"state":"failed","reason":")"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"(missing \"1\".onnx)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("state":"ready","reason":null,"signature":{"inputs":[{"name":"ids","datatype":"INT64",)"
                      R"("shape":[-1,-1],"axes":["batch","sequence0"]})"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("coalesce":"padded","coalesceReason":null)"), std::string::npos) << json;
}

TEST_F(EngineTest, ReportsCostsAndComparesRunsWithThem) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  const auto report = [&] { return ReportsJson(engine->models()); };
  EXPECT_NE(report().find(R"("cost":{"grid":null,"ratio":{"median":1,)"), std::string::npos) << report();
  engine->SetCostTable(1, {.lengths = {8}, .rows = {1, 2}, .runNs = {{1500000.4, 0}}});
  EXPECT_NE(report().find(R"("cost":{"grid":{"lengths":[8],"rows":[1,2],"runNs":[[1500000,0]]},)"), std::string::npos)
      << report();
  engine->OnItem(Make(1, Text(5)));
  AnswerTo(1);
  std::uint64_t compared = 0;
  for (const auto& count : engine->models().All()[0]->stats().costRatios) compared += count;
  EXPECT_EQ(compared, 1U);
  EXPECT_GT(engine->models().All()[0]->stats().costRatioSum, 0);
  EXPECT_THROW(engine->SetCostTable(2, {}), std::invalid_argument);
}

TEST_F(EngineTest, EndsARunFarPastItsPredictedCostLongBeforeItsTimeLimit) {
  LoadedEngine engine(With({PlanOf(counting_, 3600 * kSecondNs)}));
  engine->SetCostTable(1, {.lengths = {1}, .rows = {1}, .runNs = {{1e6}}});
  engine->OnItem(Make(1, Count(kForever)));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kRunTimeout);
  EXPECT_NE(AnswerTo(1).message.find("1000 ms of CPU time"), std::string::npos) << AnswerTo(1).message;
  engine->OnItem(Make(2, Count(3)));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kOk);
}

TEST_F(EngineTest, EndsARunByCostsThatWereMeasuredWhileItRan) {
  LoadedEngine engine(With({PlanOf(counting_, 3600 * kSecondNs)}));
  engine->OnItem(Make(1, Count(kForever)));
  inbox_.WaitUntilRunning(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  engine->SetCostTable(1, {.lengths = {1}, .rows = {1}, .runNs = {{1e6}}});
  EXPECT_NE(AnswerTo(1).message.find("1000 ms of CPU time"), std::string::npos) << AnswerTo(1).message;
}

TEST_F(EngineTest, LeavesTheTimeOfRunsToTheirLimitWhereOneWasSaid) {
  ModelPlan plan = PlanOf(counting_, 2 * ModelCosts::kHangNsMin);
  plan.endsByCost = false;
  LoadedEngine engine(With({plan}));
  engine->SetCostTable(1, {.lengths = {1}, .rows = {1}, .runNs = {{1e6}}});
  engine->OnItem(Make(1, Count(kForever)));
  EXPECT_NE(AnswerTo(1).message.find("longer than 2000 ms"), std::string::npos) << AnswerTo(1).message;
}

TEST_F(EngineTest, DoesNotEvenLoadAModelThatIsWithheld) {
  ModelPlan plan = PlanOf(encoder_);
  plan.refusal = "quarantined";
  LoadedEngine engine(With({plan, PlanOf(encoder_)}));
  engine->OnItem(Make(1, Text(5)));
  engine->OnItem(Make(2, Text(5), 1));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kUnavailable);
  EXPECT_NE(AnswerTo(1).message.find("quarantined"), std::string::npos) << AnswerTo(1).message;
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kOk);
}

TEST_F(EngineTest, ShortensSharedRunsOfTheRealtimeLaneForTheGoalOfTheModel) {
  ModelPlan plan = PlanOf(encoder_);
  const auto runNsMax = [&](std::int64_t sloNs, Lane lane) {
    plan.sloNs = sloNs;
    return ServedModel(plan, {}).Limits(lane).runNsMax;
  };
  EXPECT_EQ(runNsMax(0, Lane::kRealtime), kRealtimeRunNsMax);
  EXPECT_EQ(runNsMax(80'000'000, Lane::kRealtime), 20'000'000);
  EXPECT_EQ(runNsMax(kSecondNs, Lane::kRealtime), kRealtimeRunNsMax);
  EXPECT_EQ(runNsMax(80'000'000, Lane::kBatch), kBatchRunNsMax);
}

TEST_F(EngineTest, CountsHowLongBatchesTookToChoose) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  engine->OnItem(Make(1, Text(5)));
  AnswerTo(1);
  const ModelStats& stats = engine->models().All()[0]->stats();
  std::uint64_t chosen = 0;
  for (const auto& count : stats.formations) chosen += count;
  EXPECT_EQ(chosen, 1U);
  EXPECT_GT(stats.formationNs, 0U);
}

TEST_F(EngineTest, RefusesWhatDoesNotFitTheModel) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  engine->OnItem(Make(1, {Text(5)[0]}));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kInvalid);
  EXPECT_NE(AnswerTo(1).message.find("attention_mask"), std::string::npos);
  engine->OnItem(Make(2, Text(5), 7));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kGone);
}

TEST_F(EngineTest, FailsOnlyTheItemAtFaultInASharedRun) {
  LoadedEngine engine(With({PlanOf(counting_), PlanOf(encoder_)}));
  // Holds the only executor until the others wait together.
  engine->OnItem(Make(1, Count(100'000)));
  inbox_.WaitUntilRunning(1);
  for (std::uint64_t id = 2; id <= 6; ++id) engine->OnItem(Make(id, Text(5, id == 4 ? test::kVocabulary : 1), 1));
  const auto answers = inbox_.Wait(6);
  for (std::uint64_t id = 2; id <= 6; ++id) {
    EXPECT_EQ(answers.at(id).status, id == 4 ? ItemStatus::kFailed : ItemStatus::kOk) << id;
  }
  EXPECT_NE(answers.at(4).message.find("out of data bounds"), std::string::npos) << answers.at(4).message;
  EXPECT_TRUE(inbox_.IsExact());
  const ModelStats& stats = engine->models().All()[1]->stats();
  EXPECT_EQ(stats.items[static_cast<std::size_t>(ItemStatus::kOk)], 4U);
  EXPECT_EQ(stats.items[static_cast<std::size_t>(ItemStatus::kFailed)], 1U);
}

TEST_F(EngineTest, CountsRowsAndPadding) {
  LoadedEngine engine(With({PlanOf(counting_), PlanOf(encoder_)}));
  engine->OnItem(Make(1, Count(100'000)));
  engine->OnItem(Make(2, Text(10), 1));
  engine->OnItem(Make(3, Text(8), 1));
  inbox_.Wait(3);
  EXPECT_TRUE(engine->Drain(60 * kSecondNs));
  const ModelStats& stats = engine->models().All()[1]->stats();
  EXPECT_EQ(stats.rows, 2U);
  EXPECT_EQ(stats.realTokens, 18U);
  EXPECT_EQ(stats.paddedTokens, stats.runs == 1 ? 20U : 18U);
  EXPECT_GT(stats.runNs, 0U);
}

TEST_F(EngineTest, SaysHowManyBytesAnAnswerNeeds) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  Item small = test::MakeItem(inbox_, 1, Text(5), 64);
  small.revision = 1;
  engine->OnItem(std::move(small));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kResponseTooLarge);
  EXPECT_EQ(AnswerTo(1).message, "192");  // 80 and 16 bytes, each rounded up to 64
}

TEST_F(EngineTest, AnswersWaitingItemsPastTheirDeadlineThoughNoExecutorIsFree) {
  LoadedEngine engine(With({PlanOf(counting_), PlanOf(encoder_)}));
  Occupy(engine);
  Item late = Make(2, Text(5), 1);
  late.deadlineNs = MonotonicNowNs() + kSecondNs / 20;
  engine->OnItem(std::move(late));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kDeadlineExceeded);
}

TEST_F(EngineTest, DropsWhatIsCancelledOrWhoseClientIsGone) {
  LoadedEngine engine(With({PlanOf(counting_), PlanOf(encoder_)}));
  Occupy(engine);
  for (std::uint64_t id = 2; id <= 4; ++id) engine->OnItem(Make(id, Text(5), 1));
  engine->OnCancel(1, 3);
  EXPECT_EQ(AnswerTo(3).status, ItemStatus::kCancelled);
  engine->OnClientGone(1);
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kCancelled);
  EXPECT_EQ(AnswerTo(4).status, ItemStatus::kCancelled);
}

TEST_F(EngineTest, RefusesItemsPastTheClientsShare) {
  EnginePlan plan = With({PlanOf(counting_)});
  plan.queueItemsMax = 2;
  LoadedEngine engine(plan);
  Occupy(engine);
  engine->OnItem(Make(2, Count(1)));
  engine->OnItem(Make(3, Count(1)));
  EXPECT_EQ(AnswerTo(3).status, ItemStatus::kQueueFull);
}

TEST_F(EngineTest, EndsARunThatTakesTooLong) {
  LoadedEngine engine(With({PlanOf(counting_, kSecondNs / 10)}));
  engine->OnItem(Make(1, Count(kForever)));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kRunTimeout);
  engine->OnItem(Make(2, Count(3)));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kOk);
  EXPECT_EQ(AnswerTo(2).outputs.at(0).As<float>(), std::vector<float>{3});
}

TEST_F(EngineTest, EndsARunOfTheBatchLaneByItsOwnCpuTime) {
  LoadedEngine engine(With({PlanOf(counting_, kSecondNs / 10)}, Lane::kBatch));
  engine->OnItem(Make(1, Count(kForever)));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kRunTimeout);
}

TEST_F(EngineTest, DrainsWhatItHasAndRefusesTheRest) {
  LoadedEngine engine(With({PlanOf(counting_)}));
  for (std::uint64_t id = 1; id <= 10; ++id) engine->OnItem(Make(id, Count(1000)));
  EXPECT_TRUE(engine->Drain(60 * kSecondNs));
  EXPECT_EQ(inbox_.Now().size(), 10U);
  engine->OnItem(Make(11, Count(1)));
  EXPECT_EQ(AnswerTo(11).status, ItemStatus::kUnavailable);
}

TEST_F(EngineTest, ClosesWhileARunIsUnderWay) {
  EnginePlan plan = With({PlanOf(counting_)});
  plan.lane = Lane::kBatch;  // without an express executor, which would run the second item
  LoadedEngine engine(plan);
  Occupy(engine);
  engine->OnItem(Make(2, Count(1)));
  EXPECT_FALSE(engine->Drain(kSecondNs / 50));
  engine->Close();
  const auto answers = inbox_.Now();
  EXPECT_EQ(answers.at(1).status, ItemStatus::kUnavailable);
  EXPECT_EQ(answers.at(2).status, ItemStatus::kUnavailable);
  EXPECT_TRUE(inbox_.IsExact());
}

// What a probe of revision 1 came to.
ProbeResult Measured(LoadedEngine& engine, std::int64_t rows, std::int64_t length) {
  std::promise<ProbeResult> result;
  engine->Measure(1, {.rows = rows, .length = length, .done = [&](const ProbeResult& r) { result.set_value(r); }});
  return result.get_future().get();
}

TEST_F(EngineTest, MeasuresWhatARunCostsAndCountsNothing) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  const ProbeResult small = Measured(engine, 1, 1);
  EXPECT_EQ(small.error, "");
  EXPECT_GT(small.cpuNs, 0);
  const ProbeResult large = Measured(engine, 64, 4096);
  EXPECT_EQ(large.error, "");
  EXPECT_GT(large.cpuNs, small.cpuNs);
  EXPECT_EQ(engine->models().All()[0]->stats().runs, 0U);
}

TEST_F(EngineTest, SaysWhyThereIsNoMeasurement) {
  LoadedEngine engine(With({PlanOf(counting_, kSecondNs / 10)}));
  EXPECT_NE(Measured(engine, 1, 5).error.find("sequence axis"), std::string::npos);
  engine->Close();
  EXPECT_EQ(Measured(engine, 1, 1).error, "the worker is stopping");
}

TEST_F(EngineTest, MeasuresOnlyWhenNoItemWaitsAndAnswersProbesWhenItCloses) {
  LoadedEngine engine(With({PlanOf(counting_)}));
  Occupy(engine);
  std::promise<ProbeResult> result;
  engine->Measure(1, {.rows = 1, .length = 1, .done = [&](const ProbeResult& r) { result.set_value(r); }});
  engine->OnItem(Make(2, Count(kForever)));
  engine->OnCancel(1, 1);
  engine->Close();
  EXPECT_EQ(result.get_future().get().error, "the worker is stopping");
}

TEST_F(EngineTest, SaysWhatKeepsExecutorsApart) {
  LoadedEngine engine(With({PlanOf(encoder_)}, Lane::kBatch));
  engine->OnItem(Make(1, Text(5)));
  AnswerTo(1);
  const auto executors = engine->isolation();
  ASSERT_EQ(executors.size(), 1U);
  EXPECT_EQ(executors[0].size(), 4U);
  for (const IsolationTool& tool : executors[0]) {
    EXPECT_EQ(tool.reason.empty(), tool.state != ToolState::kUnavailable) << tool.tool << ": " << tool.reason;
  }
}

}  // namespace
}  // namespace interleave
