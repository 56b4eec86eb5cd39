#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "coalesce/cost_table.h"

namespace interleave {
namespace {

// 100 ns a run and 10 a token, but at 8 rows nothing is measured for length 16.
CostGrid Grid() {
  return {.lengths = {1, 4, 16}, .rows = {1, 2, 8}, .runNs = {{110, 120, 180}, {140, 180, 420}, {260, 420, 0}}};
}

TEST(CostTable, ReturnsWhatWasMeasured) {
  const CostTable table(Grid());
  EXPECT_FLOAT_EQ(table.RunNs(1, 1), 110);
  EXPECT_FLOAT_EQ(table.RunNs(2, 4), 180);
  EXPECT_FLOAT_EQ(table.RunNs(8, 4), 420);
  EXPECT_FLOAT_EQ(table.RunNs(1, 16), 260);
}

TEST(CostTable, InterpolatesInLogarithms) {
  const CostTable table(Grid());
  EXPECT_NEAR(table.RunNs(4, 4), std::sqrt(180.0 * 420), 0.01);  // 4 is midway from 2 to 8
  EXPECT_NEAR(table.RunNs(1, 8), std::sqrt(140.0 * 260), 0.01);  // 8 is midway from 4 to 16
  EXPECT_NEAR(table.RunNs(2, 2), std::sqrt(120.0 * 180), 0.01);
}

TEST(CostTable, GrowsWithTheTokensBeyondTheGrid) {
  const CostTable table(Grid());
  EXPECT_FLOAT_EQ(table.RunNs(8, 16), 4 * 420);  // not measured: from two rows on
  EXPECT_FLOAT_EQ(table.RunNs(24, 4), 3 * 420);
  EXPECT_FLOAT_EQ(table.RunNs(2, 48), 3 * 420);
  EXPECT_FLOAT_EQ(table.RunNs(16, 32), 2 * 2 * 4 * 420);
}

TEST(CostTable, KeepsTheSmallestLengthBelowTheGrid) {
  const CostTable table({.lengths = {8, 16}, .rows = {1}, .runNs = {{50}, {70}}});
  EXPECT_FLOAT_EQ(table.RunNs(1, 1), 50);
  EXPECT_FLOAT_EQ(table.RunNs(1, 0), 50);
}

TEST(CostTable, KnowsTheBestCostOfARow) {
  const CostTable table(Grid());
  EXPECT_FLOAT_EQ(table.BestRowNs(1), 180 / 8.0);
  EXPECT_FLOAT_EQ(table.BestRowNs(16), 210);
  EXPECT_FLOAT_EQ(table.BestRowNs(32), 420);
}

TEST(CostTable, RoundsLongLengthsUpToASmallStep) {
  CostGrid grid{.lengths = {}, .rows = {1}, .runNs = {}};
  for (std::int64_t length = 1; length <= 1 << 16; length *= 2) {
    grid.lengths.push_back(length);
    grid.runNs.push_back({static_cast<double>(length)});
  }
  const CostTable table(grid);
  for (std::int64_t length = 1; length <= 1 << 17; length += 7) {
    EXPECT_GE(table.RunNs(1, length) * 1.0001, static_cast<double>(length));
    EXPECT_LE(table.RunNs(1, length), 1.0001 * static_cast<double>(length + 16));
  }
}

TEST(CostTable, RefusesAGridThatIsNone) {
  const auto messageOf = [](const CostGrid& grid) -> std::string {
    try {
      CostTable table(grid);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(messageOf(Grid()), "");
  CostGrid grid = Grid();
  grid.lengths = {1, 4, 4};
  EXPECT_NE(messageOf(grid).find("lengths[2]"), std::string::npos);
  grid = Grid();
  grid.rows[0] = 2;
  EXPECT_NE(messageOf(grid), "");
  grid = Grid();
  grid.runNs.pop_back();
  EXPECT_NE(messageOf(grid).find("3 lengths"), std::string::npos);
  grid = Grid();
  grid.runNs[1].pop_back();
  EXPECT_NE(messageOf(grid).find("runNs[1]"), std::string::npos);
  grid = Grid();
  grid.runNs[2][0] = 0;
  EXPECT_NE(messageOf(grid).find("runNs[2][0]"), std::string::npos);
  grid = Grid();
  grid.runNs[0][1] = NAN;
  EXPECT_NE(messageOf(grid).find("runNs[0]"), std::string::npos);
  grid.lengths.clear();
  EXPECT_NE(messageOf(grid).find("lengths"), std::string::npos);
}

// docs/scheduling.md §1, milliseconds by rows 1, 2, 4, 8, 16.
TEST(CostTable, StartsFromTheShapeOfAnEncoder) {
  const auto table = CostTable::Analytic();
  EXPECT_NEAR(table->RunNs(1, 8), 3.70e6, 0.15 * 3.70e6);
  EXPECT_NEAR(table->RunNs(8, 8), 18.2e6, 0.15 * 18.2e6);
  EXPECT_NEAR(table->RunNs(1, 128), 36.3e6, 0.15 * 36.3e6);
  EXPECT_NEAR(table->RunNs(16, 32), 140e6, 0.15 * 140e6);
  EXPECT_NEAR(table->RunNs(16, 256), 1537e6, 0.15 * 1537e6);
}

TEST(RatioTracker, StartsCareful) {
  const CostRatio ratio = RatioTracker{}.ratio();
  EXPECT_DOUBLE_EQ(ratio.median, 1);
  EXPECT_NEAR(ratio.high, 1.3, 1e-9);
}

TEST(RatioTracker, FindsMedianAndHighQuantile) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::lognormal_distribution<double> noise(std::log(40.0), 0.1);  // 0.95 quantile: e^0.1645 above the median
    RatioTracker tracker;
    for (int i = 0; i < 2000; ++i) tracker.Observe(1e6, 1e6 * noise(random));
    double exceeded = 0;
    for (int i = 0; i < 4000; ++i) {
      const double ratio = noise(random);
      exceeded += ratio > tracker.ratio().high ? 1 : 0;
      tracker.Observe(1e6, 1e6 * ratio);
    }
    EXPECT_NEAR(tracker.ratio().median, 40, 2);
    EXPECT_NEAR(exceeded / 4000, 0.05, 0.02);
  }
}

TEST(RatioTracker, IsNotMovedByAFewOutliers) {
  RatioTracker tracker;
  for (int i = 0; i < 100; ++i) tracker.Observe(1e6, 1e6);
  for (int i = 0; i < 3; ++i) tracker.Observe(1e6, 1e12);
  EXPECT_LT(tracker.ratio().median, 1.1);
  EXPECT_LT(tracker.ratio().high, 1.4);
}

TEST(RatioTracker, IgnoresWhatIsNoMeasurement) {
  RatioTracker tracker;
  tracker.Observe(0, 5);
  tracker.Observe(5, 0);
  tracker.Observe(NAN, 5);
  EXPECT_DOUBLE_EQ(tracker.ratio().median, 1);
}

}  // namespace
}  // namespace interleave
