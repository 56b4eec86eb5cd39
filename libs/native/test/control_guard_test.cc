// The bandwidth guard in virtual time.
#include "control/bandwidth_guard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace interleave {
namespace {

constexpr std::int64_t kTickNs = 20'000'000;
constexpr std::uint32_t kExecutors = 4;

// Live runs with noise, two models of different costs, 8 runs a tick.
class GuardTest : public ::testing::Test {
 protected:
  GuardTest() { RecordProperty("seed", kSeed); }

  // `slowdown` of a run beside so many batch executors that are not withdrawn.
  template <class Slowdown>
  void Run(double seconds, bool isQuiet, Slowdown slowdown, double noise = 0.03) {
    std::lognormal_distribution<double> factor(0, noise);
    for (int tick = 0; tick < static_cast<int>(seconds * 50); ++tick) {
      nowNs_ += kTickNs;
      for (int i = 0; i < 8; ++i) {
        const auto model = static_cast<std::uint16_t>(i % 2);
        const double ofTable = (model == 0 ? 0.7 : 3.0) * factor(random_) * slowdown(kExecutors - guard_.withdrawn());
        guard_.OnRun({.model = model, .isQuiet = isQuiet, .ofTable = static_cast<float>(ofTable)});
      }
      guard_.OnTick(nowNs_, kExecutors);
      withdrawnMax_ = std::max(withdrawnMax_, guard_.withdrawn());
      withdrawnTicks_ += guard_.withdrawn() > 0 ? 1 : 0;
    }
  }
  static double None(std::uint32_t) { return 1; }

  static constexpr int kSeed = 20261125;
  std::mt19937 random_{kSeed};
  BandwidthGuard guard_{2};
  std::int64_t nowNs_ = 1;
  std::uint32_t withdrawnMax_ = 0;
  int withdrawnTicks_ = 0;
};

TEST_F(GuardTest, DoesNothingBeforeItKnowsWhatQuietRunsCost) {
  Run(60, false, [](std::uint32_t) { return 2.0; });
  EXPECT_EQ(guard_.withdrawals(), 0U);
  EXPECT_EQ(guard_.Limit(), 0);
}

TEST_F(GuardTest, DoesNothingWhenRunsCostTheSame) {
  Run(10, true, None);
  Run(600, false, None);
  EXPECT_EQ(guard_.withdrawals(), 0U);
  EXPECT_NEAR(guard_.Limit(), 1.05, 0.01);
  EXPECT_NEAR(guard_.Latest(), 1, 0.1);
}

TEST_F(GuardTest, WithdrawsExecutorsUntilRunsCostNoMoreAndGivesThemBack) {
  Run(10, true, None);
  Run(5, false, [](std::uint32_t executors) { return executors > 2 ? 1.3 : 1.0; });
  EXPECT_GE(withdrawnMax_, 2U);
  EXPECT_GT(guard_.withdrawals(), 2U) << "an executor is tried again every 500 ms";
  Run(3, false, None);
  EXPECT_EQ(guard_.withdrawn(), 0U);
}

TEST_F(GuardTest, TakesThreeTicksAndOneExecutorATick) {
  Run(10, true, None);
  const auto slow = [](std::uint32_t) { return 1.5; };
  Run(0.04, false, slow);
  EXPECT_EQ(guard_.withdrawn(), 0U);
  Run(0.02, false, slow);
  EXPECT_EQ(guard_.withdrawn(), 1U);
  Run(0.02, false, slow);
  EXPECT_EQ(guard_.withdrawn(), 2U);
  Run(0.2, false, slow);
  EXPECT_EQ(guard_.withdrawn(), kExecutors - 1) << "one stays";
}

TEST_F(GuardTest, GivesUpWhenWithdrawingHelpsNothing) {
  Run(10, true, None);
  Run(120, false, [](std::uint32_t) { return 1.5; });
  // 0.6 s each, with pauses of 5, 10, 20, 40 and 80 s between them.
  EXPECT_LT(withdrawnTicks_, 5 * 40);
  EXPECT_GT(withdrawnTicks_, 3 * 25);
}

TEST_F(GuardTest, ToleratesTheNoiseOfItsMachine) {
  const auto wandering = [this](std::uint32_t) { return std::uniform_real_distribution<double>(0.85, 1.3)(random_); };
  Run(60, true, wandering, 0.1);
  Run(600, false, wandering, 0.1);
  EXPECT_GT(guard_.Limit(), 1.05);
  EXPECT_LT(withdrawnTicks_, 600 * 50 / 100) << "of the time, in ticks";
}

TEST_F(GuardTest, LearnsAnewWhenTheTableIsAnotherOne) {
  Run(10, true, None);
  for (int tick = 0; tick < 100; ++tick) {
    nowNs_ += kTickNs;
    for (int i = 0; i < 8; ++i) guard_.OnRun({.model = 0, .table = 1, .isQuiet = false, .ofTable = 3});
    guard_.OnTick(nowNs_, kExecutors);
  }
  EXPECT_EQ(guard_.withdrawals(), 0U);
}

TEST_F(GuardTest, WithdrawsNothingFromASingleExecutor) {
  Run(10, true, None);
  for (int tick = 0; tick < 100; ++tick) {
    nowNs_ += kTickNs;
    for (int i = 0; i < 8; ++i) guard_.OnRun({.model = 0, .isQuiet = false, .ofTable = 3});
    guard_.OnTick(nowNs_, 1);
    ASSERT_EQ(guard_.withdrawn(), 0U);
  }
}

TEST_F(GuardTest, IgnoresWhatIsNoCost) {
  guard_.OnRun({.model = 9, .isQuiet = true, .ofTable = 1});
  guard_.OnRun({.model = 0, .isQuiet = true, .ofTable = 0});
  guard_.OnTick(kTickNs, kExecutors);
  EXPECT_EQ(guard_.Latest(), 0);
}

TEST(RunSamplesTest, ComeBackAsTheyWere) {
  RunSamples samples;
  samples.Put({.model = 65535, .isQuiet = true, .ofTable = 1.25F});
  for (int i = 0; i < 1000; ++i) samples.Put({.model = 1, .isQuiet = false, .ofTable = 0.5F});
  int count = 0;
  samples.TakeAll([&](const RunSample& sample) {
    EXPECT_EQ(sample.model, 1);
    EXPECT_FALSE(sample.isQuiet);
    EXPECT_EQ(sample.ofTable, 0.5F);
    ++count;
  });
  EXPECT_EQ(count, 128);
  samples.Put({.model = 65535, .table = 255, .isQuiet = true, .ofTable = 1.25F});
  samples.TakeAll([&](const RunSample& sample) {
    EXPECT_EQ(sample.model, 65535);
    EXPECT_EQ(sample.table, 255);
    EXPECT_TRUE(sample.isQuiet);
    EXPECT_EQ(sample.ofTable, 1.25F);
    ++count;
  });
  EXPECT_EQ(count, 129);
}

}  // namespace
}  // namespace interleave
