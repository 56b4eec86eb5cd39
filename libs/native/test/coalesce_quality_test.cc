// How much work the batch lane's choices cost against the lower bound: every row in the batch size that suits its
// length best, without padding. The mixes and the table are those of docs/scheduling.md §1.
#include <gtest/gtest.h>

#include <cstdio>

#include "coalesce/coalescer.h"
#include "encoder_costs.h"
#include "queue_tools.h"

namespace interleave {
namespace {

constexpr std::size_t kRows = 4000;
constexpr unsigned kSeed = 7;

struct Quality {
  double regret = 0;
  double paddedShare = 0;
  std::int64_t oldestNs = 0;
};

// The batch lane as it runs: at most `window` rows wait, and every row that leaves is followed by the next one of the
// file; to the last row.
Quality Drain(test::Mix mix, std::size_t window, CoalesceLimits limits) {
  std::mt19937 random(kSeed);
  const CostTable& table = *limits.models[0].cost;
  std::vector<QueueEntry> queue;
  double spentNs = 0;
  double leastNs = 0;
  std::int64_t realTokens = 0;
  std::int64_t paddedTokens = 0;
  Quality quality;
  std::int64_t nowNs = 1;
  for (std::size_t added = 0; added < kRows || !queue.empty();) {
    for (; queue.size() < window && added < kRows; ++added) {
      queue.push_back({.lengths = {test::DrawLength(mix, random), 0}, .enqueuedNs = nowNs});
      leastNs += table.BestRowNs(queue.back().lengths[0]);
    }
    const Choice choice = ChooseNext(queue, nowNs, limits);
    std::int64_t longest = 0;
    for (const std::size_t index : choice.indices) {
      longest = std::max(longest, queue[index].lengths[0]);
      realTokens += queue[index].lengths[0];
      quality.oldestNs = std::max(quality.oldestNs, nowNs - queue[index].enqueuedNs);
    }
    paddedTokens += longest * static_cast<std::int64_t>(choice.indices.size());
    spentNs += static_cast<double>(choice.predictedNs);
    nowNs += choice.predictedNs;
    test::RemoveFrom(queue, choice.indices);
  }
  quality.regret = spentNs / leastNs;
  quality.paddedShare = 1 - static_cast<double>(realTokens) / static_cast<double>(paddedTokens);
  return quality;
}

struct Target {
  test::Mix mix;
  std::size_t window;
  double regretMax;
};

class BatchLaneQuality : public testing::TestWithParam<Target> {};

TEST_P(BatchLaneQuality, IsNearTheLowerBound) {
  const Target target = GetParam();
  const std::vector<ModelLimits> models{
      {.rowsMax = 32, .tokensMax = 4096, .cost = test::EncoderCosts(), .runNsMax = kBatchRunNsMax}};
  const Quality quality = Drain(target.mix, target.window, {.lane = Lane::kBatch, .models = models});
  std::printf("%s, %zu rows wait: %.3f of the lower bound, %.1f %% padding, longest wait %.1f s (seed %u)\n",
              NameOf(target.mix).c_str(), target.window, quality.regret, 100 * quality.paddedShare,
              static_cast<double>(quality.oldestNs) / 1e9, kSeed);
  EXPECT_LE(quality.regret, target.regretMax);
  EXPECT_LE(quality.paddedShare, 0.03);
}

INSTANTIATE_TEST_SUITE_P(Mixes, BatchLaneQuality,
                         testing::Values(Target{test::Mix::kLognormal, 64, 1.04}, Target{test::Mix::kUniform, 64, 1.02},
                                         Target{test::Mix::kShort, 64, 1.06}, Target{test::Mix::kLognormal, 256, 1.02},
                                         Target{test::Mix::kUniform, 256, 1.02}, Target{test::Mix::kShort, 256, 1.02}));

}  // namespace
}  // namespace interleave
