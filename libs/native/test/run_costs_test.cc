// What a model's runs cost: the table in use and what was learnt from runs.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "run/model_costs.h"

namespace interleave {
namespace {

CostGrid Grid(double oneNs) {
  return {.lengths = {8, 16}, .rows = {1, 2}, .runNs = {{oneNs, 1.5 * oneNs}, {2 * oneNs, 0}}};
}

TEST(ModelCosts, HoldAnalyticValuesUntilThereAreMeasuredOnes) {
  ModelCosts costs;
  EXPECT_EQ(costs.Now().table, CostTable::Analytic());
  EXPECT_EQ(costs.Now().grid, nullptr);
  costs.SetGrid(Grid(1e6));
  EXPECT_NEAR(costs.Now().table->RunNs(2, 8), 1.5e6, 1);
  EXPECT_EQ(costs.Now().grid->lengths.back(), 16);
}

TEST(ModelCosts, KeepTheTableWhenAGridDoesNotHoldTogether) {
  ModelCosts costs;
  costs.SetGrid(Grid(1e6));
  CostGrid wrong = Grid(2e6);
  wrong.lengths = {16, 8};
  EXPECT_THROW(costs.SetGrid(wrong), std::invalid_argument);
  EXPECT_NEAR(costs.Now().table->RunNs(1, 8), 1e6, 1);
}

TEST(ModelCosts, LearnFromRunsHowFarTheTableIsOff) {
  ModelCosts costs;
  costs.SetGrid(Grid(1e6));
  EXPECT_NEAR(costs.Observe(1, 8, 2'000'000).ofExpected, 2, 1e-5) << "against what was expected before";
  for (int i = 0; i < 50; ++i) costs.Observe(1, 8, 2'000'000);
  EXPECT_NEAR(costs.Observe(1, 8, 2'000'000).ofExpected, 1, 0.05);
  EXPECT_NEAR(costs.Now().ratio.median, 2, 0.1);
  costs.SetGrid(Grid(2e6));
  EXPECT_EQ(costs.Now().ratio.median, 1) << "the ratio was that of the old table";
}

TEST(ModelCosts, SayFromWhenOnARunHangs) {
  ModelCosts costs;
  EXPECT_EQ(costs.HangNs(1, 8, false), std::numeric_limits<std::int64_t>::max()) << "nothing was measured";
  costs.SetGrid(Grid(1e6));
  EXPECT_EQ(costs.HangNs(1, 8, false), ModelCosts::kHangNsMin) << "noise may lengthen a short run";
  EXPECT_EQ(costs.HangNs(1, 8, true), ModelCosts::kSharedHangNsMin) << "its items run alone then";
  costs.SetGrid(Grid(1e9));
  EXPECT_EQ(costs.HangNs(1, 4096, false), std::numeric_limits<std::int64_t>::max()) << "longer than what was measured";
  EXPECT_NEAR(static_cast<double>(costs.HangNs(1, 16, false)), 2e9 * costs.Now().ratio.high * ModelCosts::kHangFactor,
              1e6);
}

TEST(ModelCosts, SayFromWhenOnARunHangsOfTheRunsThatEndedWhereNothingIsMeasured) {
  constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();
  ModelCosts costs;
  for (int i = 1; i < ModelCosts::kHangRunsMin; ++i) costs.Observe(4, 16, 1'000'000);
  EXPECT_EQ(costs.HangNs(4, 16, false), kUnlimited) << "too few runs";
  costs.Observe(2, 16, 3'000'000'000);
  EXPECT_EQ(costs.HangNs(4, 16, false), static_cast<std::int64_t>(3e9 * ModelCosts::kHangFactor))
      << "the longest counts";
  EXPECT_EQ(costs.HangNs(5, 16, false), kUnlimited) << "more tokens than were seen";
  costs.Observe(64, 1, 1'000'000);
  EXPECT_EQ(costs.HangNs(64, 16, false), kUnlimited) << "such rows and such lengths, but never together";
  EXPECT_EQ(costs.HangNs(4, 17, false), kUnlimited) << "longer rows than were seen";
}

TEST(ModelCosts, SayOnceThatTheRatioHasMoved) {
  ModelCosts costs;
  costs.SetGrid(Grid(1e6));
  EXPECT_FALSE(costs.TakeRatioMove());
  for (int i = 0; i < 20; ++i) costs.Observe(1, 8, 1'500'000);
  EXPECT_TRUE(costs.TakeRatioMove());
  EXPECT_FALSE(costs.TakeRatioMove());
}

}  // namespace
}  // namespace interleave
