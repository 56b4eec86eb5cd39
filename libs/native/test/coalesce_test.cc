#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>

#include "coalesce/coalescer.h"

namespace interleave {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

using Queue = std::vector<QueueEntry>;

QueueEntry Entry(std::int64_t length, std::int64_t deadlineNs = 0, std::int64_t enqueuedNs = 1) {
  QueueEntry entry;
  entry.lengths = {length, 0};
  entry.deadlineNs = deadlineNs;
  entry.enqueuedNs = enqueuedNs;
  return entry;
}

struct Policy {
  Lane lane = Lane::kRealtime;
  std::vector<ModelLimits> models{{.rowsMax = 8, .tokensMax = 256, .equalLengths = false}};

  std::vector<std::size_t> Choose(const Queue& queue, std::int64_t nowNs = kSecondNs) const {
    return ChooseNext(queue, nowNs, {.lane = lane, .models = models}).indices;
  }
  std::set<std::size_t> ChooseSet(const Queue& queue, std::int64_t nowNs = kSecondNs) const {
    const auto chosen = Choose(queue, nowNs);
    return {chosen.begin(), chosen.end()};
  }
};

using Indices = std::set<std::size_t>;

TEST(Coalescer, ChoosesNothingFromAnEmptyQueue) {
  EXPECT_TRUE(Policy{}.Choose({}).empty());
  EXPECT_TRUE(Policy{.lane = Lane::kBatch}.Choose({}).empty());
}

TEST(Coalescer, RealtimeStartsFromTheEarliestDeadline) {
  const Queue queue{Entry(100, 30), Entry(10, 20), Entry(40, 10), Entry(9, 0)};
  EXPECT_EQ(Policy{}.Choose(queue).front(), 2U);
}

TEST(Coalescer, RealtimePutsPriorityBeforeDeadline) {
  Queue queue{Entry(10, 10), Entry(10, 20), Entry(10, 30)};
  queue[0].priority = 200;
  queue[2].priority = 1;
  Policy policy;
  policy.models[0].rowsMax = 1;
  EXPECT_EQ(policy.ChooseSet(queue), Indices{2});
  queue.pop_back();
  EXPECT_EQ(policy.ChooseSet(queue), Indices{1});
}

TEST(Coalescer, RealtimeWithoutDeadlinesTakesTheOldest) {
  const Queue queue{Entry(10, 0, 7), Entry(100, 0, 3), Entry(30, 0, 5)};
  EXPECT_EQ(Policy{}.Choose(queue).front(), 1U);
}

TEST(Coalescer, RealtimeTakesOnlyPartnersOfSimilarLength) {
  // Half of 20 is 10; 20 rounded up to a multiple of 8 is 24.
  const Queue queue{Entry(20, 1), Entry(9), Entry(10), Entry(24), Entry(25)};
  EXPECT_EQ(Policy{}.ChooseSet(queue), (Indices{0, 2, 3}));
}

TEST(Coalescer, RealtimePrefersTheClosestPartners) {
  Policy policy;
  policy.models[0].rowsMax = 3;
  const Queue queue{Entry(32, 1), Entry(17), Entry(30), Entry(20), Entry(31)};
  EXPECT_EQ(policy.ChooseSet(queue), (Indices{0, 2, 4}));
}

TEST(Coalescer, KeepsTheTokenCapCountingPadding) {
  Policy policy;
  policy.models[0].tokensMax = 64;  // 24 as the longest: two rows
  const Queue queue{Entry(20, 1), Entry(24), Entry(24), Entry(24)};
  EXPECT_EQ(policy.Choose(queue).size(), 2U);
}

TEST(Coalescer, CountsRowsWithoutSequenceAxisAsOneToken) {
  Policy policy;
  policy.models[0] = {.rowsMax = 100, .tokensMax = 3, .equalLengths = false};
  EXPECT_EQ(policy.Choose({Entry(0), Entry(0), Entry(0), Entry(0)}).size(), 3U);
}

TEST(Coalescer, CountsAllRowsOfAnItem) {
  Queue queue{Entry(8, 1), Entry(8, 2), Entry(8, 3)};
  queue[0].rows = 5;
  queue[1].rows = 4;
  queue[2].rows = 3;
  EXPECT_EQ(Policy{}.ChooseSet(queue), (Indices{0, 2}));
}

TEST(Coalescer, NeverMixesModels) {
  Policy policy;
  policy.models.push_back(policy.models[0]);
  Queue queue{Entry(8, 1), Entry(8), Entry(8)};
  queue[1].model = 1;
  EXPECT_EQ(policy.ChooseSet(queue), (Indices{0, 2}));
  policy.lane = Lane::kBatch;
  EXPECT_EQ(policy.ChooseSet(queue), (Indices{0, 2}));
}

TEST(Coalescer, NeverMixesShapes) {
  Queue queue{Entry(8, 1), Entry(8), Entry(8)};
  queue[1].shapeKey = 9;
  EXPECT_EQ(Policy{}.ChooseSet(queue), (Indices{0, 2}));
  EXPECT_EQ(Policy{.lane = Lane::kBatch}.ChooseSet(queue), (Indices{0, 2}));
}

TEST(Coalescer, RunsSuspectsAlone) {
  Queue queue{Entry(8, 2), Entry(8, 1), Entry(8, 3)};
  queue[1].alone = true;
  EXPECT_EQ(Policy{}.ChooseSet(queue), Indices{1});
  queue[1].deadlineNs = 9;
  EXPECT_EQ(Policy{}.ChooseSet(queue), (Indices{0, 2}));
}

TEST(Coalescer, RunsOversizedItemsAlone) {
  Queue queue{Entry(300, 1), Entry(300, 2), Entry(200, 3)};
  EXPECT_EQ(Policy{}.ChooseSet(queue), Indices{0});
  queue = {Entry(4, 1), Entry(4, 2)};
  queue[0].rows = 9;
  EXPECT_EQ(Policy{}.ChooseSet(queue), Indices{0});
}

TEST(Coalescer, MixesOnlyEqualLengthsWhereAModelNeedsIt) {
  Policy policy;
  policy.models[0].equalLengths = true;
  const Queue queue{Entry(8, 1), Entry(7), Entry(8), Entry(7)};
  EXPECT_EQ(policy.ChooseSet(queue), (Indices{0, 2}));
  policy.lane = Lane::kBatch;
  EXPECT_EQ(policy.Choose(queue).size(), 2U);
}

TEST(Coalescer, ComparesBothSequenceAxes) {
  Queue queue{Entry(20, 1), Entry(20), Entry(20)};
  queue[0].lengths[1] = 10;
  queue[1].lengths[1] = 4;
  queue[2].lengths[1] = 12;
  EXPECT_EQ(Policy{}.ChooseSet(queue), (Indices{0, 2}));
}

TEST(Coalescer, BatchFillsARunWithTheLeastPadding) {
  Policy policy{.lane = Lane::kBatch};
  policy.models[0] = {.rowsMax = 3, .tokensMax = 1000, .equalLengths = false};
  const Queue queue{Entry(5), Entry(50), Entry(21), Entry(20), Entry(22), Entry(90)};
  EXPECT_EQ(policy.ChooseSet(queue), (Indices{2, 3, 4}));
}

TEST(Coalescer, BatchTakesEverythingWhenNothingFillsARun) {
  const Queue queue{Entry(5), Entry(21), Entry(9)};
  EXPECT_EQ((Policy{.lane = Lane::kBatch}.ChooseSet(queue)), (Indices{0, 1, 2}));
}

TEST(Coalescer, BatchTakesARowPastTheAgeBoundFirst) {
  Policy policy{.lane = Lane::kBatch};
  policy.models[0] = {.rowsMax = 3, .tokensMax = 1000, .equalLengths = false};
  Queue queue{Entry(90, 0, 2), Entry(50, 0, 1), Entry(21, 0, 3), Entry(20, 0, 3), Entry(22, 0, 3)};
  EXPECT_EQ(policy.ChooseSet(queue, 5 * kSecondNs), (Indices{2, 3, 4}));
  EXPECT_EQ(policy.ChooseSet(queue, 5 * kSecondNs + 2), Indices{1});
}

// Any queue, drained to the end: the rules hold for every choice, and every item is chosen exactly once.
class RandomQueue : public testing::TestWithParam<unsigned> {
 protected:
  std::mt19937 random_{GetParam()};

  std::int64_t Pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  Policy RandomPolicy() {
    Policy policy{.lane = Pick(0, 1) != 0 ? Lane::kBatch : Lane::kRealtime, .models = {}};
    for (std::int64_t i = Pick(1, 4); i > 0; --i) {
      policy.models.push_back({.rowsMax = Pick(0, 16), .tokensMax = Pick(1, 600), .equalLengths = Pick(0, 2) == 0});
    }
    return policy;
  }
  Queue RandomEntries(const Policy& policy) {
    Queue queue(static_cast<std::size_t>(Pick(1, 200)));
    for (QueueEntry& entry : queue) {
      entry = Entry(Pick(0, 128), Pick(0, 1) * Pick(1, 1000), Pick(1, 10 * kSecondNs));
      entry.lengths[1] = Pick(0, 3) == 0 ? Pick(0, 64) : 0;
      entry.model = static_cast<std::uint32_t>(Pick(0, static_cast<std::int64_t>(policy.models.size()) - 1));
      entry.rows = Pick(0, 4) == 0 ? Pick(1, 20) : 1;
      entry.priority = static_cast<std::uint8_t>(Pick(0, 3));
      entry.alone = Pick(0, 20) == 0;
      entry.shapeKey = static_cast<std::uint64_t>(Pick(0, 2));
    }
    return queue;
  }
};

void ExpectRulesHold(const Queue& queue, const std::vector<std::size_t>& chosen, const Policy& policy) {
  ASSERT_FALSE(chosen.empty());
  const QueueEntry& first = queue[chosen[0]];
  const ModelLimits& limits = policy.models[first.model];
  std::int64_t rows = 0;
  std::array<std::int64_t, 2> longest{};
  for (const std::size_t index : chosen) {
    ASSERT_LT(index, queue.size());
    const QueueEntry& entry = queue[index];
    EXPECT_EQ(entry.model, first.model);
    EXPECT_EQ(entry.shapeKey, first.shapeKey);
    EXPECT_TRUE(!limits.equalLengths || entry.lengths == first.lengths);
    EXPECT_TRUE(chosen.size() == 1 || !entry.alone);
    rows += entry.rows;
    for (std::size_t k = 0; k < 2; ++k) longest[k] = std::max(longest[k], entry.lengths[k]);
  }
  if (chosen.size() == 1) return;
  EXPECT_LE(rows, limits.rowsMax);
  EXPECT_LE(rows * std::max<std::int64_t>(1, longest[0] + longest[1]), limits.tokensMax);
}

void ExpectMostUrgentIsIn(const Queue& queue, const std::vector<std::size_t>& chosen) {
  const auto rank = [&](std::size_t i) {
    return std::tuple(queue[i].priority == 0 ? 128 : queue[i].priority,
                      queue[i].deadlineNs == 0 ? INT64_MAX : queue[i].deadlineNs, queue[i].enqueuedNs);
  };
  auto best = rank(0);
  for (std::size_t i = 1; i < queue.size(); ++i) best = std::min(best, rank(i));
  EXPECT_TRUE(std::any_of(chosen.begin(), chosen.end(), [&](std::size_t i) { return rank(i) == best; }));
}

TEST_P(RandomQueue, IsDrainedByTheRules) {
  const Policy policy = RandomPolicy();
  Queue queue = RandomEntries(policy);
  std::int64_t nowNs = 10 * kSecondNs;
  while (!queue.empty()) {
    const auto chosen = policy.Choose(queue, nowNs);
    ExpectRulesHold(queue, chosen, policy);
    if (policy.lane == Lane::kRealtime) ExpectMostUrgentIsIn(queue, chosen);
    const std::set<std::size_t> distinct(chosen.begin(), chosen.end());
    ASSERT_EQ(distinct.size(), chosen.size());
    ASSERT_FALSE(HasFailure()) << "seed " << GetParam();
    for (auto index = distinct.rbegin(); index != distinct.rend(); ++index) {
      queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(*index));
    }
    nowNs += Pick(0, kSecondNs);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomQueue, testing::Range(0U, 300U));

// Not a benchmark: a quadratic policy would need 10^8 steps per choice here and run into the test's time limit.
TEST(Coalescer, StaysFastWithTenThousandRows) {
  std::mt19937 random(1);
  Queue queue(10'000);
  for (std::size_t i = 0; i < queue.size(); ++i) {
    queue[i] = Entry(std::uniform_int_distribution<std::int64_t>(1, 512)(random), static_cast<std::int64_t>(i + 1),
                     static_cast<std::int64_t>(i + 1));
  }
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    const Policy policy{.lane = lane};
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(policy.Choose(queue, 1).empty());
    const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
    RecordProperty(lane == Lane::kRealtime ? "realtimeUs" : "batchUs", std::to_string(elapsed.count() / 5));
  }
}

}  // namespace
}  // namespace interleave
