// Runs of several threads: who may begin one, whose CPU is whose, and that answers are the same.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <random>
#include <thread>

#include "engine_fixture.h"
#include "run/answers.h"
#include "run/served_models.h"
#include "run/work_queue.h"
#include "test_models.h"

namespace interleave {
namespace {

using test::Answer;
using test::kFloat;
using test::kInt64;
using test::LoadedEngine;
using test::PlanOf;
using test::TensorOf;
using test::With;

TEST(Teams, AreLedByTheFirstOfNeighbours) {
  const Teams teams(5);
  EXPECT_TRUE(teams.Leads(0, 2));
  EXPECT_FALSE(teams.Leads(1, 2));
  EXPECT_TRUE(teams.Leads(2, 2));
  EXPECT_FALSE(teams.Leads(4, 2)) << "it has no neighbour";
  EXPECT_TRUE(teams.Leads(4, 1));
  EXPECT_FALSE(teams.Leads(0, 6));
}

TEST(Teams, GoOneAfterTheOtherByTheAgeOfTheirClaims) {
  Teams teams(4);
  teams.Begin(1, 1);
  teams.Begin(3, 1);
  teams.Claim(2, 2);
  teams.Claim(0, 4);
  EXPECT_FALSE(teams.IsFree(3)) << "it runs";
  teams.End(3);
  EXPECT_FALSE(teams.IsFree(3)) << "2 waits for it";
  EXPECT_TRUE(teams.IsFreeFor(2, 2));
  EXPECT_EQ(teams.Satisfied(), std::vector<std::size_t>{2});
  teams.Begin(2, 2);
  teams.End(1);
  EXPECT_FALSE(teams.IsFree(1)) << "0 waits for it";
  teams.Claim(0, 2);
  EXPECT_EQ(teams.Satisfied(), std::vector<std::size_t>{0}) << "it wants less now";
  teams.Claim(0, 4);
  EXPECT_TRUE(teams.Satisfied().empty());
  EXPECT_EQ(teams.End(2), 2U);
  EXPECT_FALSE(teams.IsFree(2)) << "0 has waited for longer";
  EXPECT_EQ(teams.Satisfied(), std::vector<std::size_t>{0});
  teams.Begin(0, 4);
  for (std::size_t executor = 0; executor < 4; ++executor) EXPECT_FALSE(teams.IsFree(executor));
  EXPECT_EQ(teams.End(0), 4U);
  EXPECT_TRUE(teams.IsFreeFor(0, 4));
}

constexpr std::size_t kExecutors = 5;
constexpr std::array<std::size_t, 4> kWidths{1, 2, 3, 4};

// Models of revisions 1 to 4, number i of width i + 1.
class WideQueueTest : public ::testing::Test {
 protected:
  WideQueueTest() {
    for (std::uint32_t i = 0; i < kWidths.size(); ++i) {
      models_.Add({.name = "m",
                   .version = "1",
                   .revision = i + 1,
                   .options = {},
                   .runRowsMax = 4,
                   .runTokensMax = 100,
                   .executorThreads = kWidths[i]});
    }
  }
  QueuedItem Make(std::uint64_t id, std::size_t width, bool ahead = false) {
    const auto revision = static_cast<std::uint32_t>(width);
    QueuedItem queued{.item = test::MakeItem(inbox_, id, {}),
                      .shape = {},
                      .enqueuedNs = static_cast<std::int64_t>(id),
                      .model = models_.Find(revision)};
    queued.item.clientId = 1;
    queued.item.revision = revision;
    queued.item.ahead = ahead;
    return queued;
  }
  void Push(std::uint64_t id, std::size_t width, bool ahead = false) {
    QueuedItem queued = Make(id, width, ahead);
    ASSERT_EQ(queue_.Push(queued), WorkQueue::Pushed::kAccepted);
  }
  void Finish(WorkQueue::Work& work) {
    for (QueuedItem& queued : work.items) answers_.Finish(queued, {});
  }
  // Ids of the items that the executor takes next, and answers.
  std::vector<std::uint64_t> Run(std::size_t executor) {
    WorkQueue::Work work = queue_.Take(executor);
    std::vector<std::uint64_t> ids;
    for (const QueuedItem& queued : work.items) ids.push_back(queued.item.itemId);
    Finish(work);
    return ids;
  }
  void WaitUntilWaiting(std::size_t executors) {
    while (queue_.waitingExecutors() != executors) std::this_thread::yield();
  }
  void WaitUntilClaiming() {
    while (queue_.claimingExecutors() == 0) std::this_thread::yield();
  }

  ServedModels models_;
  WorkQueue queue_{{.lane = Lane::kRealtime,
                    .clientItemsMax = 100'000,
                    .cpus = std::vector<int>(kExecutors, -1),
                    .limits = [](const ServedModel& model) { return model.Limits(Lane::kRealtime); }}};
  Answers answers_{queue_};
  test::Inbox inbox_;
};

TEST_F(WideQueueTest, OnlyALeaderTakesAWideRun) {
  Push(1, 3);
  Push(2, 1);
  EXPECT_EQ(Run(4), std::vector<std::uint64_t>{2}) << "what came first is not for it";
  EXPECT_EQ(Run(0), std::vector<std::uint64_t>{1});
}

TEST_F(WideQueueTest, NeighboursWaitWhileTheirCpuIsLent) {
  Push(1, 2);
  ASSERT_EQ(queue_.Take(0).items.size(), 1U);
  Push(2, 1);
  std::thread lent([this] { EXPECT_EQ(Run(1), std::vector<std::uint64_t>{4}); });
  WaitUntilWaiting(1);
  EXPECT_EQ(Run(2), std::vector<std::uint64_t>{2});
  EXPECT_EQ(queue_.waitingExecutors(), 1U);
  for (const std::uint64_t id : {3, 4}) {
    QueuedItem queued = Make(id, 1);
    queued.item.alone = true;
    queue_.Push(queued);
  }
  EXPECT_EQ(Run(0), std::vector<std::uint64_t>{3}) << "its neighbour is called as well";
  lent.join();
}

TEST_F(WideQueueTest, ALeaderWaitsForItsNeighboursWhichBeginNothingMore) {
  Push(1, 1);
  WorkQueue::Work narrow = queue_.Take(1);
  Push(2, 2);
  Push(3, 1);
  std::atomic<bool> hasBegun = false;
  std::thread leader([&] {
    WorkQueue::Work wide = queue_.Take(0);
    ASSERT_EQ(wide.items.size(), 1U);
    EXPECT_EQ(wide.items[0].item.itemId, 2U);
    hasBegun = true;
    Finish(wide);
    EXPECT_EQ(Run(0), std::vector<std::uint64_t>{3});
  });
  WaitUntilClaiming();
  EXPECT_FALSE(hasBegun);
  Finish(narrow);
  std::thread neighbour([this] { EXPECT_TRUE(queue_.Take(1).IsNone()); });
  leader.join();
  EXPECT_TRUE(hasBegun);
  queue_.Close();
  neighbour.join();
}

// What a leader has claimed its neighbour for goes, in each of the ways in which it can: then it does something else,
// while the neighbour still runs.
TEST_F(WideQueueTest, ALeaderDropsAClaimOfWhichNothingWaits) {
  const auto pushProbe = [this] {
    Probe probe{.model = models_.Find(2), .done = [](const ProbeResult&) {}};
    ASSERT_EQ(queue_.PushProbe(probe), WorkQueue::Pushed::kAccepted);
  };
  const auto pushItem = [this] {
    QueuedItem queued = Make(2, 2);
    queued.item.deadlineNs = INT64_MAX - 1;
    ASSERT_EQ(queue_.Push(queued), WorkQueue::Pushed::kAccepted);
  };
  struct Way {
    const char* name;
    std::function<void()> push;
    std::function<void()> take;
  };
  const std::vector<Way> ways{
      {"cancelled", pushItem, [this] { EXPECT_EQ(queue_.Cancel(1, 2).size(), 1U); }},
      {"its client has gone", pushItem, [this] { EXPECT_EQ(queue_.DropClient(1).size(), 1U); }},
      {"expired", pushItem, [this] { EXPECT_EQ(queue_.TakeExpired(INT64_MAX).size(), 1U); }},
      {"another leader took it", pushItem, [this] { EXPECT_EQ(Run(2), std::vector<std::uint64_t>{2}); }},
      {"another leader measured it", pushProbe, [this] { EXPECT_TRUE(queue_.Take(2).probe.has_value()); }},
      {"not measured any more", pushProbe, [this] { EXPECT_EQ(queue_.TakeProbes(*models_.Find(2)).size(), 1U); }},
      {"nothing is measured any more", pushProbe, [this] { EXPECT_EQ(queue_.TakeProbes().size(), 1U); }},
      {"measured later, as rows came", pushProbe, [] {}},
  };
  for (const auto& [name, push, take] : ways) {
    Push(1, 1);
    WorkQueue::Work narrow = queue_.Take(1);
    push();
    auto leader = std::async(std::launch::async, [this] { return Run(0); });
    WaitUntilClaiming();
    take();
    Push(3, 1);
    const bool isTaken = leader.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
    EXPECT_TRUE(isTaken) << name;
    Finish(narrow);
    if (!isTaken) {
      queue_.Close();
      queue_.Take(1);
      return;
    }
    EXPECT_EQ(leader.get(), std::vector<std::uint64_t>{3}) << name;
    queue_.TakeProbes();
    // Both end what they ran.
    for (const std::size_t executor : {1, 2}) {
      Push(4, 1);
      EXPECT_EQ(Run(executor), std::vector<std::uint64_t>{4}) << name;
    }
  }
}

TEST_F(WideQueueTest, TheExpressExecutorTakesNoWideRun) {
  Push(1, 2, true);
  Push(2, 1, true);
  EXPECT_EQ(Run(kExecutors), std::vector<std::uint64_t>{2});
  queue_.Close();
  EXPECT_TRUE(queue_.Take(kExecutors).IsNone());
  EXPECT_EQ(Run(0), std::vector<std::uint64_t>{1});
}

TEST_F(WideQueueTest, MeasuresAWideModelWhereItLeads) {
  Probe probe{.model = models_.Find(2), .done = [](const ProbeResult&) {}};
  ASSERT_EQ(queue_.PushProbe(probe), WorkQueue::Pushed::kAccepted);
  std::thread other([this] { EXPECT_TRUE(queue_.Take(1).IsNone()); });
  EXPECT_TRUE(queue_.Take(0).probe.has_value());
  queue_.Close();
  other.join();
}

// Whatever is pushed, every item is answered, and no CPU is in two runs.
TEST_F(WideQueueTest, NoCpuIsInTwoRuns) {
  std::array<std::atomic<int>, kExecutors> used{};
  std::atomic<int> wrong = 0;
  std::vector<std::thread> executors;
  for (std::size_t i = 0; i <= kExecutors; ++i) {
    executors.emplace_back([&, i] {
      while (true) {
        WorkQueue::Work work = queue_.Take(i);
        if (work.IsNone()) return;
        const ServedModel* model = work.probe ? work.probe->model.get() : nullptr;
        if (!work.items.empty()) model = work.items[0].model.get();
        const std::size_t width = model == nullptr || i == kExecutors ? 0 : model->plan().executorThreads;
        if (i == kExecutors && model != nullptr && model->plan().executorThreads != 1) ++wrong;
        for (std::size_t cpu = i; cpu < i + width; ++cpu) wrong += used[cpu]++;
        std::this_thread::yield();
        for (std::size_t cpu = i; cpu < i + width; ++cpu) --used[cpu];
        Finish(work);
        if (work.probe) work.probe->done({});
      }
    });
  }
  constexpr std::uint64_t kItems = 5000;
  std::atomic<int> measured = 0;
  std::mt19937 random(7);
  for (std::uint64_t id = 1; id <= kItems; ++id) {
    Push(id, kWidths[random() % kWidths.size()], random() % 16 == 0);
    if (random() % 64 == 0) {
      Probe probe{.model = models_.Find(1 + random() % 4), .done = [&](const ProbeResult&) { ++measured; }};
      queue_.PushProbe(probe);
    }
    if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
    if (id % 1000 == 0) inbox_.Wait(id);  // it comes to rest: nothing may be left behind
  }
  queue_.Close();
  for (std::thread& executor : executors) executor.join();
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(inbox_.IsExact());
  EXPECT_EQ(inbox_.Now().size(), kItems);
}

constexpr int kSize = 256;

// x [batch, 256] -> y [batch, 256], large enough for the runtime to divide among threads.
std::string Wide(const std::string& path) {
  return test::Graph()
      .Input("x", kFloat, {"batch", kSize})
      .Output("y", kFloat, {"batch", kSize})
      .Initializer("w", kFloat, {kSize, kSize}, test::Weights(std::size_t{kSize} * kSize))
      .Node("MatMul", {"x", "w"}, {"a"})
      .Node("Relu", {"a"}, {"b"})
      .Node("MatMul", {"b", "w"}, {"y"})
      .Save(path);
}

std::vector<test::Tensor> Rows(std::int64_t rows) {
  return {TensorOf(ElementType::kFloat32, {rows, kSize}, test::Weights(static_cast<std::size_t>(rows) * kSize))};
}

class WideEngineTest : public test::EngineTest {
 protected:
  // What the threads of one run share is the runtime's, which is not built for ThreadSanitizer: it reports races there.
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the runtime's threads are not instrumented";
#endif
  }
  static EnginePlan On(std::vector<int> cpus, std::size_t width, const std::string& path, Lane lane) {
    ModelPlan model = PlanOf(path);
    model.runRowsMax = 64;
    model.executorThreads = width;
    EnginePlan plan = With({model}, lane);
    plan.cpus = std::move(cpus);
    return plan;
  }
  std::map<std::uint64_t, Answer> AnswersOf(const EnginePlan& plan, std::uint64_t items) {
    test::Inbox inbox;
    LoadedEngine engine(plan);
    EXPECT_EQ(engine->models().All()[0]->state(), ModelState::kReady) << engine->models().All()[0]->reason();
    for (std::uint64_t id = 1; id <= items; ++id) {
      Item item = test::MakeItem(inbox, id, Rows(static_cast<std::int64_t>(1 + id % 40)));
      item.revision = 1;
      engine->OnItem(std::move(item));
    }
    return inbox.Wait(items);
  }
  const std::string wide_ = Wide(dir_.File("wide.onnx"));
};

TEST_F(WideEngineTest, AnswersAsOnOneThread) {
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    const auto narrow = AnswersOf(On({0}, 1, wide_, lane), 60);
    const auto answers = AnswersOf(On({0, 1, 0, 1, 0}, 2, wide_, lane), 60);
    for (const auto& [id, answer] : answers) {
      ASSERT_EQ(answer.status, ItemStatus::kOk) << answer.message;
      const auto expected = narrow.at(id).outputs.at(0).As<float>();
      const auto received = answer.outputs.at(0).As<float>();
      ASSERT_EQ(received.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(received[i], expected[i], 1e-5F * std::max(1.0F, std::abs(expected[i])));
      }
    }
  }
}

TEST_F(WideEngineTest, RefusesAModelThatIsWiderThanTheWorker) {
  LoadedEngine engine(On({0, 1}, 3, wide_, Lane::kRealtime));
  engine->OnItem(Make(1, Rows(1)));
  const Answer answer = AnswerTo(1);
  EXPECT_EQ(answer.status, ItemStatus::kUnavailable);
  EXPECT_NE(answer.message.find("executorThreads is 3, but this worker has 2 CPUs"), std::string::npos)
      << answer.message;
}

TEST_F(WideEngineTest, MeasuresWhatARunTakes) {
  LoadedEngine engine(On({0, 1}, 2, wide_, Lane::kBatch));
  std::atomic<std::int64_t> cpuNs = 0;
  std::atomic<bool> isDone = false;
  engine->Measure(1, {.rows = 32, .length = 1, .done = [&](const ProbeResult& result) {
                        EXPECT_EQ(result.error, "");
                        cpuNs = result.cpuNs;
                        isDone = true;
                      }});
  while (!isDone) std::this_thread::yield();
  EXPECT_GT(cpuNs, 0);
}

TEST_F(WideEngineTest, EndsARunOfSeveralThreadsThatTakesTooLong) {
  EnginePlan plan = On({0, 1}, 2, counting_, Lane::kBatch);
  plan.models[0].runTimeoutNs = test::kSecondNs / 10;
  LoadedEngine engine(plan);
  engine->OnItem(Make(1, test::Count(test::kForever)));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kRunTimeout);
}

TEST(ThreadTeam, StartsHelpersWithTheSessionAndJoinsThem) {
  test::TempDir dir;
  std::atomic<int> prepared = 0;
  {
    const auto session = Session::Load(
        test::Library(), {.modelPath = Wide(dir.File("wide.onnx")),
                          .helpers = {.cpus = {{4, 5}, {7, 8}}, .prepare = [&](std::size_t team, int cpu) {
                                        EXPECT_EQ(team, cpu < 6 ? 0U : 1U);
                                        ++prepared;
                                      }}});
    EXPECT_EQ(prepared, 4);
    ASSERT_EQ(session->helpers(0).size(), 2U);
    ASSERT_EQ(session->helpers(1).size(), 2U);
    EXPECT_NE(session->helpers(0)[1].tid, session->helpers(1)[1].tid);
    EXPECT_NE(session->helpers(0)[0].tid, gettid());
  }
  const auto narrow = Session::Load(test::Library(), {.modelPath = dir.File("wide.onnx")});
  EXPECT_TRUE(narrow->helpers(0).empty());
}

}  // namespace
}  // namespace interleave
