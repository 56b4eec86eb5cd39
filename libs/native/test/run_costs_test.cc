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
  EXPECT_EQ(costs.HangNs(1, 8), std::numeric_limits<std::int64_t>::max()) << "nothing was measured";
  costs.SetGrid(Grid(1e6));
  EXPECT_EQ(costs.HangNs(1, 8), ModelCosts::kHangNsMin) << "noise may lengthen a short run";
  costs.SetGrid(Grid(1e9));
  EXPECT_EQ(costs.HangNs(1, 4096), std::numeric_limits<std::int64_t>::max()) << "longer than what was measured";
  EXPECT_NEAR(static_cast<double>(costs.HangNs(1, 16)), 2e9 * costs.Now().ratio.high * ModelCosts::kHangFactor, 1e6);
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
