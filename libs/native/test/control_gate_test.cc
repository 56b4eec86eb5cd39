// Which executors may begin runs, through the queue and its real pages.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "clock.h"
#include "control/neighbours.h"
#include "control/run_gate.h"
#include "control/service_times.h"
#include "lane_fixture.h"
#include "work_queue_fixture.h"

namespace interleave {
namespace {

using test::kExecutors;
using test::kNoCpu;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kForever = INT64_MAX;

class RunGateTest : public ::testing::Test {
 protected:
  test::ControlPages pages_;
  MappedControlPage control_ = pages_.Open("batch");
  MappedControlPage guard_ = pages_.Open("live");

  LaneAllowance AllowanceAt(std::int64_t nowNs, std::size_t executors = 4) {
    return AllowanceOf(control_->control, pages_.OpenAll({"live"}), executors, nowNs);
  }
};

TEST_F(RunGateTest, AllowsAllWhenNobodyHasSaidAnything) {
  EXPECT_EQ(AllowanceAt(1).executors, 4U);
  EXPECT_FALSE(AllowanceAt(1).isHeldOff);
  EXPECT_EQ(AllowanceAt(1).halvings, 0U);
}

TEST_F(RunGateTest, HoldsLimitsOnlyForTheirTime) {
  control_->control.withheld = 3;
  control_->control.halvings = 2;
  control_->control.heldOffSinceNs = 5;
  control_->control.untilNs = 100;
  EXPECT_EQ(AllowanceAt(99).executors, 1U);
  EXPECT_EQ(AllowanceAt(99).halvings, 2U);
  EXPECT_TRUE(AllowanceAt(99).isHeldOff);
  EXPECT_EQ(AllowanceAt(100).executors, 4U) << "the scheduler has died";
  EXPECT_FALSE(AllowanceAt(100).isHeldOff);
}

TEST_F(RunGateTest, LeavesOneExecutorToTheGuardAndNoneToTheScheduler) {
  guard_->guard.withdrawn = 9;
  guard_->guard.untilNs = 100;
  EXPECT_EQ(AllowanceAt(99).executors, 1U);
  EXPECT_EQ(AllowanceAt(99, 1).executors, 1U);
  EXPECT_EQ(AllowanceAt(100).executors, 4U) << "the live worker has died";
  control_->control.withheld = 9;
  control_->control.untilNs = 100;
  EXPECT_EQ(AllowanceAt(99).executors, 0U);
}

TEST(FloorCreditTest, LetsThroughItsShareOfTime) {
  // 2 % of three executors, runs of 37 ms, asked every 10 ms for ten minutes.
  FloorCredit floor;
  std::int64_t ranMs = 0;
  std::int64_t firstMs = -1;
  for (std::int64_t nowMs = 1; nowMs <= 600'000; nowMs += 10) {
    floor.Earn(nowMs * kMs, 0.06);
    if (!floor.IsDue()) continue;
    if (firstMs < 0) firstMs = nowMs;
    floor.Spend(37 * kMs);
    ranMs += 37;
  }
  EXPECT_NEAR(static_cast<double>(ranMs) / 600'000, 0.06, 0.001);
  EXPECT_GT(firstMs, 300) << "closing has an effect first";
}

TEST(FloorCreditTest, DoesNotHoardWhileNothingWaits) {
  FloorCredit floor;
  floor.Earn(1, 0.02);
  floor.Earn(3600'000 * kMs, 0.02);
  EXPECT_TRUE(floor.IsDue());
  floor.Spend(37 * kMs);
  EXPECT_FALSE(floor.IsDue());
}

class GatedQueueTest : public RunGateTest {
 protected:
  test::TwoModels models_;
  RunGate gate_{pages_.Open("batch"), pages_.OpenAll({"live"}), kExecutors};
  WorkQueue queue_{{.lane = Lane::kBatch,
                    .clientItemsMax = 1000,
                    .cpus = std::vector<int>(kExecutors, kNoCpu),
                    .limits = [](const ServedModel& model) { return model.Limits(Lane::kBatch); },
                    .gate = &gate_}};
  Answers answers_{queue_};
  test::Inbox inbox_;
  std::vector<std::thread> executors_;
  std::atomic<int> runs_[kExecutors]{};

  ~GatedQueueTest() override {
    queue_.Close();
    for (std::thread& executor : executors_) executor.join();
  }
  void StartExecutors() {
    for (std::size_t i = 0; i < kExecutors; ++i) StartExecutor(i);
  }
  void StartExecutor(std::size_t i) {
    executors_.emplace_back([this, i] {
      for (WorkQueue::Work work = queue_.Take(i); !work.IsNone(); work = queue_.Take(i)) {
        ++runs_[i];
        for (QueuedItem& queued : work.items) answers_.Finish(queued, {});
      }
    });
  }
  void Push(std::uint64_t id) {
    QueuedItem queued{
        .item = test::MakeItem(inbox_, id, {}), .shape = {}, .enqueuedNs = MonotonicNowNs(), .model = models_[0]};
    queued.item.revision = 1;
    queued.item.clientId = 1;
    queued.item.alone = true;
    ASSERT_EQ(queue_.Push(queued), WorkQueue::Pushed::kAccepted);
  }
  void Limit(std::uint32_t withheld, bool isHeldOff = false) {
    control_->control.withheld = withheld;
    control_->control.heldOffSinceNs = isHeldOff ? 1 : 0;
    control_->control.untilNs = kForever;
  }
};

TEST_F(GatedQueueTest, WorkComesToTheExecutorsThatMayHaveIt) {
  Limit(2);
  StartExecutors();
  for (std::uint64_t id = 1; id <= 200; ++id) Push(id);
  ASSERT_TRUE(queue_.WaitUntilIdle(60'000 * kMs));
  EXPECT_EQ(runs_[0], 200);
  EXPECT_EQ(runs_[1] + runs_[2], 0);
  EXPECT_EQ(control_->activity.runs, 200U);
}

TEST_F(GatedQueueTest, AnExecutorThatMayNotCallsOneThatMay) {
  // Executor 0 waits first, so the others are called before it.
  for (std::size_t i = 0; i < kExecutors; ++i) {
    StartExecutor(i);
    while (queue_.waitingExecutors() <= i) std::this_thread::yield();
  }
  Limit(kExecutors - 1);
  Push(1);
  ASSERT_TRUE(queue_.WaitUntilIdle(60'000 * kMs));
  EXPECT_EQ(runs_[0], 1);
}

TEST_F(GatedQueueTest, NoWorkIsLostWhileTheGateMoves) {
  StartExecutors();
  for (std::uint64_t id = 1; id <= 500; ++id) {
    Limit(static_cast<std::uint32_t>(id % kExecutors), id % 50 == 0);
    Push(id);
  }
  Limit(kExecutors - 1);
  ASSERT_TRUE(queue_.WaitUntilIdle(60'000 * kMs));
  EXPECT_EQ(runs_[0] + runs_[1] + runs_[2], 500);
}

TEST_F(GatedQueueTest, NothingBeginsWhileTheLaneIsHeldOff) {
  Limit(0, true);
  StartExecutors();
  for (std::uint64_t id = 1; id <= 20; ++id) Push(id);
  EXPECT_FALSE(queue_.WaitUntilIdle(100 * kMs));
  EXPECT_EQ(control_->activity.runs, 0U);
  Limit(0);
  EXPECT_TRUE(queue_.WaitUntilIdle(60'000 * kMs));
}

TEST_F(GatedQueueTest, TheFloorRunsWhileAllExecutorsAreWithheld) {
  control_->control.floorPermille = 100;
  Limit(kExecutors);
  StartExecutors();
  for (std::uint64_t id = 1; id <= 5; ++id) Push(id);
  ASSERT_TRUE(queue_.WaitUntilIdle(60'000 * kMs));
  EXPECT_EQ(control_->activity.floorRuns, 5U);
  EXPECT_EQ(runs_[0], 5);
}

TEST_F(GatedQueueTest, AClosedQueueIsEmptiedWhateverTheGateSays) {
  Limit(kExecutors, true);
  StartExecutors();
  for (std::uint64_t id = 1; id <= 20; ++id) Push(id);
  queue_.Close();
  EXPECT_TRUE(queue_.WaitUntilIdle(60'000 * kMs));
}

TEST_F(RunGateTest, TheFloorBeginsToEarnWhenTheGateClosesAndPaysForNoMeasurement) {
  constexpr auto kRows = RunGate::Wanted::kRows;
  RunGate gate(pages_.Open("batch"), {}, 2);
  control_->control.floorPermille = 100;
  control_->control.untilNs = kForever;
  ASSERT_TRUE(gate.MayBegin(0, 1, kRows, 1 * kMs));
  ASSERT_TRUE(gate.MayBegin(0, 1, kRows, 60'000 * kMs));
  control_->control.withheld = 2;
  EXPECT_FALSE(gate.MayBegin(0, 1, kRows, 60'001 * kMs)) << "paid with what was earned while it was open";
  EXPECT_FALSE(gate.MayBegin(0, 1, RunGate::Wanted::kMeasurement, 61'000 * kMs));
  EXPECT_FALSE(gate.MayBegin(1, 1, kRows, 61'000 * kMs));
  EXPECT_TRUE(gate.MayBegin(0, 1, kRows, 61'000 * kMs));
}

TEST_F(RunGateTest, ATeamOfWhichAPartMayRunHasItsShareOfTheTime) {
  constexpr auto kRows = RunGate::Wanted::kRows;
  RunGate gate(pages_.Open("batch"), {}, 4);
  control_->control.untilNs = kForever;
  control_->control.withheld = 1;
  EXPECT_TRUE(gate.MayBegin(0, 2, kRows, 1 * kMs));
  EXPECT_FALSE(gate.MayBegin(2, 2, kRows, 1 * kMs)) << "nothing was earned yet";
  EXPECT_TRUE(gate.MayBegin(2, 1, kRows, 1 * kMs)) << "a run of its own CPU is allowed";
  EXPECT_FALSE(gate.MayBegin(2, 2, RunGate::Wanted::kMeasurement, 100 * kMs));
  EXPECT_TRUE(gate.MayBegin(2, 2, kRows, 100 * kMs));
  gate.Began(2, 2);
  EXPECT_EQ(control_->activity.running, 2U);
  const std::int64_t startedNs = ThreadCpuNs();
  while (ThreadCpuNs() - startedNs < 15 * kMs) {
  }
  gate.Ended(2, 200 * kMs);
  EXPECT_EQ(control_->activity.running, 0U);
  EXPECT_FALSE(gate.MayBegin(2, 2, kRows, 101 * kMs)) << "two CPUs for 15 ms were paid";
  EXPECT_TRUE(gate.MayBegin(2, 2, kRows, 10'000 * kMs));
  control_->control.withheld = 2;
  EXPECT_FALSE(gate.MayBegin(2, 2, kRows, 20'000 * kMs)) << "neither of its CPUs may run";
}

TEST_F(RunGateTest, ARunIsSeenFromItsBeginningToItsEnd) {
  control_->activity.running = 7;  // left by a process that died
  RunGate gate(pages_.Open("batch"), {}, 2);
  const Neighbours neighbours(pages_.OpenAll({"batch"}));
  EXPECT_FALSE(neighbours.HasRunSince(0));
  ASSERT_TRUE(gate.MayBegin(1, 1, RunGate::Wanted::kRows, 10));
  gate.Began(1, 1);
  EXPECT_TRUE(neighbours.HasRunSince(20));
  EXPECT_EQ(neighbours.CompanySince(20, 25), Company::kShared);
  gate.Ended(1, 30);
  gate.Ended(1, 99);
  EXPECT_TRUE(neighbours.HasRunSince(29));
  EXPECT_FALSE(neighbours.HasRunSince(30));
  EXPECT_EQ(neighbours.CompanySince(30, 40), Company::kOther) << "nothing to run";
}

TEST_F(RunGateTest, AnItemIsAloneOnlyWhenAllOfItsTimeWas) {
  RunGate gate(pages_.Open("batch"), {}, 2);
  const Neighbours neighbours(pages_.OpenAll({"batch"}));
  gate.Began(0, 1);
  control_->control.heldOffSinceNs = 100;
  control_->control.untilNs = kForever;
  EXPECT_EQ(neighbours.CompanySince(110, 120), Company::kOther) << "a run is still under way";
  gate.Ended(0, 130);
  EXPECT_EQ(neighbours.CompanySince(110, 140), Company::kOther) << "a run was still under way";
  EXPECT_EQ(neighbours.CompanySince(90, 140), Company::kOther) << "it came before";
  EXPECT_EQ(neighbours.CompanySince(131, 140), Company::kAlone);
  control_->control.untilNs = 135;
  EXPECT_EQ(neighbours.CompanySince(131, 140), Company::kOther) << "the scheduler has died";
}

TEST(ServiceBucketsTest, AreWithinThreePercentAndAscend) {
  std::size_t last = 0;
  for (double us = 1; us < 60e6; us *= 1.01) {
    const std::size_t bucket = ServiceBucketOf(static_cast<std::int64_t>(us * 1000));
    ASSERT_LT(bucket, kServiceBuckets);
    ASSERT_GE(bucket, last);
    ASSERT_LE(bucket, last + 1);
    last = bucket;
  }
  EXPECT_EQ(ServiceBucketOf(-5), 0U);
  EXPECT_EQ(ServiceBucketOf(31'999), 31U);
  EXPECT_EQ(ServiceBucketOf(128'000), 96U);
  EXPECT_EQ(ServiceBucketOf(INT64_MAX), kServiceBuckets - 1);
}

}  // namespace
}  // namespace interleave
