#include <gtest/gtest.h>

#include <set>

#include "coalesce/coalescer.h"
#include "coalesce/run_shape.h"
#include "queue_tools.h"

namespace interleave {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecondNs = 1'000'000'000;

using Indices = std::set<std::size_t>;
using Queue = std::vector<QueueEntry>;

QueueEntry Entry(std::int64_t length, std::int64_t enqueuedNs = 1, std::int64_t deadlineNs = 0) {
  return {.lengths = {length, 0}, .deadlineNs = deadlineNs, .enqueuedNs = enqueuedNs};
}

constexpr std::int64_t kAgeMinNs = CoalesceLimits{}.ageMinNs;

// A run costs 1 ms and 0.1 ms a token: sharing gains, padding costs.
struct Policy {
  Lane lane = Lane::kRealtime;
  std::vector<ModelLimits> models{
      {.rowsMax = 8, .tokensMax = 256, .cost = test::LinearCosts(1 * kMs, kMs / 10), .runNsMax = kSecondNs}};

  Choice Choose(const Queue& queue, std::int64_t nowNs = kSecondNs) const {
    return ChooseNext(queue, nowNs, {.lane = lane, .models = models, .waitingWeight = 0});
  }
  Indices ChooseSet(const Queue& queue, std::int64_t nowNs = kSecondNs) const {
    const Choice choice = Choose(queue, nowNs);
    return {choice.indices.begin(), choice.indices.end()};
  }
};

class EveryLane : public testing::TestWithParam<Lane> {
 protected:
  Policy policy_{.lane = GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Lanes, EveryLane, testing::Values(Lane::kRealtime, Lane::kBatch),
                         [](const auto& lane) { return lane.param == Lane::kRealtime ? "realtime" : "batch"; });

TEST_P(EveryLane, ChoosesNothingFromAnEmptyQueue) { EXPECT_TRUE(policy_.Choose({}).indices.empty()); }

TEST_P(EveryLane, SharesARunWherePaddingCostsLessThanARun) {
  // A run costs as much as 10 padded tokens.
  EXPECT_EQ(policy_.ChooseSet({Entry(20), Entry(29)}), (Indices{0, 1}));
  EXPECT_EQ(policy_.ChooseSet({Entry(20), Entry(31, 2)}).size(), 1U);
}

TEST_P(EveryLane, PredictsTheRun) {
  EXPECT_NEAR(static_cast<double>(policy_.Choose({Entry(20), Entry(25)}).predictedNs), 6 * kMs, 0.001 * kMs);
  policy_.models[0].ratio = {.median = 2, .high = 3};
  EXPECT_NEAR(static_cast<double>(policy_.Choose({Entry(20), Entry(25)}).predictedNs), 12 * kMs, 0.001 * kMs);
}

TEST_P(EveryLane, KeepsTheTokenCapCountingPadding) {
  policy_.models[0].tokensMax = 64;  // 24 as the longest: two rows
  EXPECT_EQ(policy_.ChooseSet({Entry(20), Entry(24), Entry(24), Entry(24)}).size(), 2U);
}

TEST_P(EveryLane, CountsRowsWithoutSequenceAxisAsOneToken) {
  policy_.models[0].tokensMax = 3;
  EXPECT_EQ(policy_.ChooseSet({Entry(0), Entry(0), Entry(0), Entry(0, 2)}).size(), 3U);
}

TEST_P(EveryLane, KeepsTheLongestRunOfTheLane) {
  policy_.models[0].runNsMax = 5 * kMs;  // 40 tokens
  EXPECT_EQ(policy_.ChooseSet(Queue(8, Entry(12))).size(), 3U);
  policy_.models[0].ratio.median = 2;
  EXPECT_EQ(policy_.ChooseSet(Queue(8, Entry(7))).size(), 2U);
  EXPECT_EQ(policy_.ChooseSet({Entry(100)}).size(), 1U);
}

TEST_P(EveryLane, CountsAllRowsOfAnItem) {
  Queue queue{Entry(8, 1), Entry(8, 2)};
  queue[0].rows = 4;
  queue[1].rows = 4;
  EXPECT_EQ(policy_.ChooseSet(queue), (Indices{0, 1}));
  queue[1].rows = 5;
  EXPECT_EQ(policy_.ChooseSet(queue).size(), 1U);
}

TEST_P(EveryLane, NeverMixesModels) {
  policy_.models.push_back(policy_.models[0]);
  Queue queue{Entry(8), Entry(8, 2), Entry(8)};
  queue[1].model = 1;
  EXPECT_EQ(policy_.ChooseSet(queue), (Indices{0, 2}));
}

TEST_P(EveryLane, NeverMixesShapes) {
  Queue queue{Entry(8), Entry(8, 2), Entry(8)};
  queue[1].shapeKey = 9;
  EXPECT_EQ(policy_.ChooseSet(queue), (Indices{0, 2}));
}

TEST_P(EveryLane, RunsSuspectsAlone) {
  Queue queue{Entry(8, 1), Entry(8, 2), Entry(8, 3)};
  queue[0].alone = true;
  EXPECT_EQ(policy_.ChooseSet(queue, 100 * kSecondNs), Indices{0});
}

TEST_P(EveryLane, RunsOversizedItemsAlone) {
  EXPECT_EQ(policy_.ChooseSet({Entry(300, 1), Entry(300, 2)}, 100 * kSecondNs), Indices{0});
  Queue queue = {Entry(4, 1), Entry(4, 2)};
  queue[0].rows = 9;
  EXPECT_EQ(policy_.ChooseSet(queue, 100 * kSecondNs), Indices{0});
}

TEST_P(EveryLane, MixesOnlyEqualLengthsWhereAModelNeedsIt) {
  policy_.models[0].equalLengths = true;
  EXPECT_EQ(policy_.ChooseSet({Entry(8, 1), Entry(7, 2), Entry(8, 1), Entry(8, 1), Entry(7, 2)}), (Indices{0, 2, 3}));
}

TEST_P(EveryLane, PadsBothSequenceAxesToTheirMaxima) {
  // Equal sums, but together they are padded to 20 + 20.
  Queue queue{Entry(20, 1), Entry(4, 2)};
  queue[0].lengths[1] = 4;
  queue[1].lengths[1] = 20;
  EXPECT_EQ(policy_.ChooseSet(queue).size(), 1U);
  queue[1].lengths = {18, 6};
  EXPECT_EQ(policy_.ChooseSet(queue), (Indices{0, 1}));
}

TEST_P(EveryLane, RunsAnOutlierAlone) {
  Queue queue{Entry(160, 1)};
  for (int i = 0; i < 7; ++i) queue.push_back(Entry(16, 1));
  const Indices chosen = policy_.ChooseSet(queue);
  EXPECT_TRUE(chosen == Indices{0} || !chosen.contains(0));
}

TEST(Coalescer, RealtimeStartsFromTheOldest) {
  EXPECT_EQ(Policy{}.ChooseSet({Entry(20, 7), Entry(100, 3), Entry(60, 5)}), Indices{1});
}

TEST(Coalescer, RealtimePrioritiesAge) {
  Queue queue{Entry(10, 1), Entry(100, 1 + 1200 * kMs)};
  queue[1].priority = 1;  // 127 levels of 10 ms before the default
  EXPECT_EQ(Policy{}.ChooseSet(queue), Indices{1});
  queue[1].enqueuedNs = 1 + 1300 * kMs;
  EXPECT_EQ(Policy{}.ChooseSet(queue), Indices{0});
  queue[0].priority = 255;
  EXPECT_EQ(Policy{}.ChooseSet(queue), Indices{1});
}

TEST(Coalescer, RealtimeRunsWhatCannotWaitBeforeWhatIsDue) {
  const std::int64_t nowNs = kSecondNs;
  // 100 tokens take 11 ms, 14.3 ms by the high ratio; the other one 6 ms.
  Queue queue{Entry(50, 1), Entry(100, 2, nowNs + 60 * kMs)};
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{0});
  queue[1].deadlineNs = nowNs + 20 * kMs;
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{1});
}

TEST(Coalescer, RealtimeEndsASharedRunBeforeTheDeadlinesOfItsMembers) {
  const std::int64_t nowNs = kSecondNs;
  // Two rows of 20 take 5 ms, 6.5 ms by the high ratio.
  Queue queue{Entry(20, 1, nowNs + 11 * kMs), Entry(20, 2)};
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), (Indices{0, 1}));
  queue[0].deadlineNs = nowNs + 6 * kMs;
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{0});
}

TEST(Coalescer, RealtimeSharesNoRunThatMakesOthersMissTheirDeadlines) {
  const std::int64_t nowNs = kSecondNs;
  // The item of 100 takes 11 ms, 14.3 by the high ratio; the two of 20 take 3 ms each, 5 ms together.
  Queue queue{Entry(20, 1), Entry(20, 2), Entry(100, 3, nowNs + 60 * kMs)};
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), (Indices{0, 1}));
  // There is room for one of the two, then for none.
  queue[2].deadlineNs = nowNs + 20 * kMs;
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{0});
  queue[2].deadlineNs = nowNs + 17 * kMs;
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{2});
}

TEST(Coalescer, RealtimeRunsAHopelessItemOnlyWhenNothingElseWaits) {
  const std::int64_t nowNs = kSecondNs;
  const Queue queue{Entry(100, 1, nowNs + 10 * kMs), Entry(100, 2)};
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{1});
  EXPECT_EQ(Policy{}.ChooseSet({queue[0]}, nowNs), Indices{0});
}

TEST(Coalescer, RealtimeRunsWhatGoesAheadFirstAndWithItsLikeAlone) {
  const std::int64_t nowNs = kSecondNs;
  // The first is older and hardly in time, the last due before the other that goes ahead.
  Queue queue{Entry(20, 1, nowNs + 4 * kMs), Entry(20, nowNs), Entry(20, nowNs), Entry(20, nowNs - 1)};
  queue[1].ahead = true;
  queue[2].ahead = true;
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), Indices{1}) << "a run of both would make the first miss its deadline";
  queue[0].deadlineNs = 0;
  EXPECT_EQ(Policy{}.ChooseSet(queue, nowNs), (Indices{1, 2}));
  Policy policy;
  policy.models[0].rowsMax = 1;
  queue[2].priority = 1;
  EXPECT_EQ(policy.ChooseSet(queue, nowNs), Indices{2});
}

TEST(Coalescer, BatchRunsWhatWastesLeast) {
  Policy policy{.lane = Lane::kBatch};
  policy.models[0].rowsMax = 3;
  // The 20 lacks partners; the 40s fill a run without padding, the 50s need some.
  const Queue queue{Entry(20), Entry(50), Entry(55), Entry(55), Entry(40, 9), Entry(40, 9), Entry(40, 9)};
  EXPECT_EQ(policy.ChooseSet(queue, kAgeMinNs), (Indices{4, 5, 6}));
}

TEST(Coalescer, BatchRunsTheOlderOfTwoEquallyGoodRuns) {
  Policy policy{.lane = Lane::kBatch};
  policy.models[0].rowsMax = 2;
  EXPECT_EQ(policy.ChooseSet({Entry(20, 9), Entry(20, 9), Entry(20, 5), Entry(20, 5)}), (Indices{2, 3}));
}

TEST(Coalescer, BatchRunsWhatSomebodyWaitsForFirst) {
  Policy policy{.lane = Lane::kBatch};
  const std::int64_t nowNs = 20 * kSecondNs;
  // The others are past the age bound, or waste less.
  const Queue queue{Entry(20), Entry(20), Entry(3, nowNs, nowNs + 2 * kSecondNs), Entry(40, nowNs, nowNs + kSecondNs)};
  EXPECT_EQ(policy.ChooseSet(queue, nowNs), Indices{3});
}

TEST(Coalescer, BatchRunsAnItemPastTheAgeBoundFirst) {
  Policy policy{.lane = Lane::kBatch};
  const Queue queue{Entry(100, 2), Entry(50, 1)};
  EXPECT_EQ(policy.ChooseSet(queue, kAgeMinNs), Indices{0});
  EXPECT_EQ(policy.ChooseSet(queue, kAgeMinNs + 2), Indices{1});
  // Runs of 11 and 6 ms, 20 times as slow as the table says: all that waits takes 340 ms.
  policy.models[0].ratio = {.median = 20, .high = 20};
  EXPECT_EQ(policy.ChooseSet(queue, kAgeMinNs + 2), Indices{0});
  EXPECT_EQ(policy.ChooseSet(queue, 690 * kMs), Indices{1});
  policy.models[0].ratio = {.median = 2000, .high = 2000};
  EXPECT_EQ(policy.ChooseSet(queue, 5 * kSecondNs), Indices{0});
  EXPECT_EQ(policy.ChooseSet(queue, 5 * kSecondNs + 2), Indices{1});
}

}  // namespace
}  // namespace interleave
