// Random queues against the rules and against exhaustive search.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "coalesce/coalescer.h"
#include "coalesce/partition.h"
#include "coalesce/run_shape.h"
#include "queue_tools.h"

namespace interleave {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecondNs = 1'000'000'000;

using Queue = std::vector<QueueEntry>;

class RandomQueue : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override { RecordProperty("seed", static_cast<int>(GetParam())); }

  std::mt19937 random_{GetParam()};

  std::int64_t Pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  // Grows with rows and with the length, as costs do, and is bent at random otherwise.
  std::shared_ptr<const CostTable> RandomCosts() {
    CostGrid grid{.lengths = {1, 8, 32, 128}, .rows = {1, 2, 3, 5, 8, 16}, .runNs = {}};
    for (std::size_t i = 0; i < grid.lengths.size(); ++i) {
      std::vector<double> row;
      for (std::size_t j = 0; j < grid.rows.size(); ++j) {
        const double below = i == 0 ? 0 : grid.runNs[i - 1][j];
        const double before = j == 0 ? 0 : row[j - 1];
        row.push_back(std::max(below, before) + static_cast<double>(Pick(1, 4 * kMs)));
      }
      grid.runNs.push_back(row);
    }
    return std::make_shared<const CostTable>(grid);
  }
  std::vector<ModelLimits> RandomModels() {
    std::vector<ModelLimits> models;
    for (std::int64_t i = Pick(1, 4); i > 0; --i) {
      models.push_back({.rowsMax = Pick(0, 16),
                        .tokensMax = Pick(1, 600),
                        .equalLengths = Pick(0, 2) == 0,
                        .cost = RandomCosts(),
                        .ratio = {.median = 1.1, .high = 1.4},
                        .runNsMax = Pick(1, 40) * kMs});
    }
    return models;
  }
  QueueEntry RandomEntry(std::size_t modelsCount, std::int64_t nowNs) {
    return {.model = static_cast<std::uint32_t>(Pick(0, static_cast<std::int64_t>(modelsCount) - 1)),
            .priority = static_cast<std::uint8_t>(Pick(0, 3)),
            .alone = Pick(0, 20) == 0,
            .rows = Pick(0, 4) == 0 ? Pick(1, 20) : 1,
            .lengths = {Pick(0, 128), Pick(0, 3) == 0 ? Pick(0, 64) : 0},
            .mayBePadded = Pick(0, 3) != 0,
            .shapeKey = static_cast<std::uint64_t>(Pick(0, 2)),
            .deadlineNs = Pick(0, 1) * (nowNs + Pick(1, 500) * kMs),
            .enqueuedNs = nowNs - Pick(0, 8000) * kMs};
  }
};

RunShape ShapeOf(const Queue& queue, const std::vector<std::size_t>& chosen) {
  RunShape shape;
  for (const std::size_t index : chosen) {
    shape = shape.With(
        {.rows = queue[index].rows, .lengths = queue[index].lengths, .mayBePadded = queue[index].mayBePadded});
  }
  return shape;
}

void ExpectRulesHold(const Queue& queue, const Choice& choice, std::int64_t nowNs, const CoalesceLimits& limits) {
  ASSERT_FALSE(choice.indices.empty());
  const QueueEntry& first = queue[choice.indices[0]];
  const ModelLimits& model = limits.models[first.model];
  const RunShape shape = ShapeOf(queue, choice.indices);
  const double tableNs = model.cost->RunNs(shape.rows, TokensOfRow(shape.lengths));
  EXPECT_EQ(choice.predictedNs, static_cast<std::int64_t>(tableNs * model.ratio.median));
  if (choice.indices.size() == 1) return;
  EXPECT_TRUE(shape.Fits(model));
  EXPECT_LE(choice.predictedNs, model.runNsMax);
  for (const std::size_t index : choice.indices) {
    const QueueEntry& entry = queue[index];
    EXPECT_FALSE(entry.alone);
    EXPECT_TRUE(entry.mayBePadded || entry.lengths == shape.lengths);
    EXPECT_TRUE(AreCompatible(entry, first, model));
    if (limits.lane == Lane::kRealtime && entry.deadlineNs != 0) {
      EXPECT_LE(tableNs * model.ratio.high, static_cast<double>(entry.deadlineNs - nowNs));
    }
  }
}

// Any queue, drained to the end: the rules hold for every choice, and every item is chosen exactly once.
TEST_P(RandomQueue, IsDrainedByTheRules) {
  const std::vector<ModelLimits> models = RandomModels();
  const CoalesceLimits limits{.lane = Pick(0, 1) != 0 ? Lane::kBatch : Lane::kRealtime, .models = models};
  std::int64_t nowNs = 10 * kSecondNs;
  Queue queue;
  for (std::int64_t i = Pick(1, 200); i > 0; --i) queue.push_back(RandomEntry(models.size(), nowNs));
  while (!queue.empty()) {
    const Choice choice = ChooseNext(queue, nowNs, limits);
    ExpectRulesHold(queue, choice, nowNs, limits);
    const std::set<std::size_t> distinct(choice.indices.begin(), choice.indices.end());
    ASSERT_EQ(distinct.size(), choice.indices.size());
    ASSERT_LT(*distinct.rbegin(), queue.size());
    ASSERT_FALSE(HasFailure()) << "seed " << GetParam();
    test::RemoveFrom(queue, choice.indices);
    nowNs += Pick(0, 20 * kMs);
  }
}

// The same items in another order give the same run.
TEST_P(RandomQueue, DoesNotDependOnTheOrderOfTheQueue) {
  const std::vector<ModelLimits> models = RandomModels();
  const CoalesceLimits limits{.lane = Pick(0, 1) != 0 ? Lane::kBatch : Lane::kRealtime, .models = models};
  const std::int64_t nowNs = 10 * kSecondNs;
  Queue queue;
  for (std::int64_t i = Pick(1, 100); i > 0; --i) {
    queue.push_back(RandomEntry(models.size(), nowNs));
    queue.back().enqueuedNs = nowNs - i;  // each its own age
    queue.back().priority = 0;
  }
  const auto chosenAges = [&] {
    std::set<std::int64_t> ages;
    for (const std::size_t index : ChooseNext(queue, nowNs, limits).indices) ages.insert(queue[index].enqueuedNs);
    return ages;
  };
  const std::set<std::int64_t> before = chosenAges();
  std::shuffle(queue.begin(), queue.end(), random_);
  EXPECT_EQ(chosenAges(), before) << "seed " << GetParam();
}

// Least cost over every way to divide `left` (any subsets, not only neighbours) into permitted runs.
class Exhaustive {
 public:
  Exhaustive(const Queue& queue, const ModelLimits& limits, double waitingWeight)
      : queue_(queue), limits_(limits), waitingWeight_(waitingWeight) {}

  double Least(unsigned left) const {
    if (left == 0) return 0;
    const unsigned first = left & ~(left - 1);
    double least = INFINITY;
    // Every subset of `left` that holds its first item.
    for (unsigned rest = left & ~first;; rest = (rest - 1) & left & ~first) {
      const double cost = RunCost(rest | first);
      if (cost < least) least = std::min(least, cost + Least(left & ~(rest | first)));
      if (rest == 0) return least;
    }
  }

 private:
  double RunCost(unsigned members) const {
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < queue_.size(); ++i) {
      if ((members >> i & 1U) != 0) indices.push_back(i);
    }
    const RunShape shape = ShapeOf(queue_, indices);
    const double tableNs = limits_.cost->RunNs(shape.rows, TokensOfRow(shape.lengths));
    const bool isTooLong = tableNs * limits_.ratio.median > static_cast<double>(limits_.runNsMax);
    if (indices.size() > 1 && (!shape.Fits(limits_) || isTooLong)) return INFINITY;
    return tableNs * (1 + waitingWeight_ * static_cast<double>(shape.rows));
  }

  const Queue& queue_;
  const ModelLimits& limits_;
  const double waitingWeight_;
};

TEST_P(RandomQueue, IsDividedAtTheLeastCost) {
  std::vector<ModelLimits> models = RandomModels();
  models.resize(1);
  models[0].equalLengths = false;
  const double waitingWeight = Pick(0, 1) * 0.1;
  Queue queue(static_cast<std::size_t>(Pick(1, 8)));
  std::vector<std::uint32_t> members;
  for (QueueEntry& entry : queue) {
    entry.lengths[0] = Pick(1, 140);
    members.push_back(static_cast<std::uint32_t>(members.size()));
  }
  const CoalesceLimits limits{.models = models};
  const Groups groups = GroupItems(queue, members, limits);
  double cost = 0;
  for (const PlannedRun& run : Partition(queue, groups, models, {.waitingWeight = waitingWeight})) {
    cost += run.tableNs * (1 + waitingWeight * static_cast<double>(run.end - run.begin));
  }
  const double least = Exhaustive(queue, models[0], waitingWeight).Least((1U << queue.size()) - 1);
  EXPECT_NEAR(cost / least, 1, 1e-6) << "seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomQueue, testing::Range(0U, 300U));

}  // namespace
}  // namespace interleave
