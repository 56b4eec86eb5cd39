// The policy in virtual time, on the measured table of an encoder. Every scenario prints its seed when it fails.
#include <gtest/gtest.h>

#include "coalesce/admission.h"
#include "encoder_costs.h"
#include "simulate/simulator.h"

namespace interleave {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr double kSecondNs = 1e9;

using Trace = std::vector<TraceItem>;

struct Load {
  // Against what the executors can do at the lower bound of the cost.
  double ofCapacity = 0.6;
  test::Mix mix = test::Mix::kLognormal;
  std::size_t executors = 1;
  double seconds = 60;
  std::int64_t timeoutNs = 500 * kMs;
};

double RowsPerSecond(test::Mix mix) {
  std::mt19937 random(1);
  const auto costs = test::EncoderCosts();
  double sumNs = 0;
  for (int i = 0; i < 5000; ++i) sumNs += costs->BestRowNs(test::DrawLength(mix, random));
  return 5000 * kSecondNs / sumNs;
}

Trace Poisson(const Load& load, std::mt19937& random) {
  std::exponential_distribution<double> gapSeconds(RowsPerSecond(load.mix) * load.ofCapacity *
                                                   static_cast<double>(load.executors));
  Trace trace;
  for (double at = gapSeconds(random); at < load.seconds; at += gapSeconds(random)) {
    trace.push_back({.arrivalNs = static_cast<std::int64_t>(at * kSecondNs),
                     .lengths = {test::DrawLength(load.mix, random), 0},
                     .timeoutNs = load.timeoutNs});
  }
  return trace;
}

SimulationPlan PlanFor(const Load& load, std::uint32_t seed) {
  return {.executors = load.executors,
          .models = {{.rowsMax = 32, .tokensMax = 4096, .cost = test::EncoderCosts()}},
          .seed = seed};
}

// Everything that was admitted is answered in time.
void ExpectPromisesKept(const SimulationReport& report, const Load& load) {
  EXPECT_EQ(report.answered + report.refused + report.expired, report.items);
  EXPECT_EQ(report.expired, 0);
  EXPECT_EQ(report.late, 0);
  EXPECT_LE(report.latency.maxNs, load.timeoutNs);
}

class Scenario : public testing::TestWithParam<std::uint32_t> {
 protected:
  std::uint32_t seed_ = GetParam();
  std::mt19937 random_{seed_};
  testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(seed_)};

  std::int64_t Pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
};

INSTANTIATE_TEST_SUITE_P(Seeds, Scenario, testing::Range(1U, 6U));

TEST_P(Scenario, PoissonArrivals) {
  const Load load{.ofCapacity = 0.8, .executors = 4};
  const SimulationReport report = Simulate(Poisson(load, random_), PlanFor(load, seed_));
  ExpectPromisesKept(report, load);
  EXPECT_EQ(report.refused, 0);
  EXPECT_LE(report.latency.p50Ns, 40 * kMs);
  EXPECT_LE(report.paddedShare, 0.03);
}

TEST_P(Scenario, BurstyArrivals) {
  const Load load{.ofCapacity = 0.6, .mix = test::Mix::kShort, .executors = 2};
  Trace trace = Poisson(load, random_);
  // Everything of a half second comes at its beginning.
  for (TraceItem& item : trace) item.arrivalNs -= item.arrivalNs % (500 * kMs);
  const SimulationReport report = Simulate(trace, PlanFor(load, seed_));
  ExpectPromisesKept(report, load);
  // Its rows take 300 ms together; what is refused is so until the wait factor has come down.
  EXPECT_LE(report.refused, report.items / 10);
  EXPECT_GE(report.rowsPerRun, 4);
  EXPECT_LE(report.regret, 1.12);
}

TEST_P(Scenario, BimodalLengths) {
  const Load load{.ofCapacity = 0.7, .executors = 2};
  Trace trace = Poisson(load, random_);
  for (TraceItem& item : trace) item.lengths[0] = Pick(0, 3) == 0 ? Pick(120, 136) : Pick(8, 16);
  const SimulationReport report = Simulate(trace, PlanFor(load, seed_));
  ExpectPromisesKept(report, load);
  EXPECT_LE(report.paddedShare, 0.03);
}

TEST_P(Scenario, OutliersRunAlone) {
  const Load load{.ofCapacity = 0.6, .mix = test::Mix::kShort, .executors = 2, .timeoutNs = 1000 * kMs};
  Trace trace = Poisson(load, random_);
  for (std::size_t i = 0; i < trace.size(); i += 100) trace[i].lengths[0] = 512;
  const SimulationReport report = Simulate(trace, PlanFor(load, seed_));
  ExpectPromisesKept(report, load);
  // One short row padded to 512 alone would add a quarter percent.
  EXPECT_LE(report.paddedShare, 0.05);
}

TEST_P(Scenario, PriorityFloodDoesNotStarveTheRest) {
  Load load{.ofCapacity = 3, .executors = 2, .seconds = 30, .timeoutNs = 0};
  Trace trace = Poisson(load, random_);
  for (TraceItem& item : trace) item.priority = Pick(0, 9) == 0 ? 200 : 1;
  SimulationPlan plan = PlanFor(load, seed_);
  plan.queueItemsMax = 128;
  const SimulationReport report = Simulate(trace, plan);
  // 199 levels of 10 ms, then everything that waited by then: 128 rows of at most 75 ms for two executors.
  EXPECT_LE(report.wait.maxNs, 199 * plan.ageStepNs + 128 * 75 * kMs / 2);
  EXPECT_GT(report.wait.maxNs, 500 * kMs);
}

TEST_P(Scenario, DeadlineStormKeepsEveryPromise) {
  const Load load{.ofCapacity = 0.8, .executors = 2, .timeoutNs = 4000 * kMs};
  Trace trace = Poisson(load, random_);
  // Each second a hundred low-priority requests with tight deadlines, amid high-priority ones with loose deadlines.
  for (TraceItem& item : trace) item.priority = static_cast<std::uint8_t>(Pick(1, 3));
  for (std::int64_t second = 1; second < 60; ++second) {
    for (int i = 0; i < 100; ++i) {
      trace.push_back({.arrivalNs = second * 1000 * kMs,
                       .priority = 255,
                       .lengths = {Pick(8, 64), 0},
                       .timeoutNs = Pick(100, 400) * kMs});
    }
  }
  std::stable_sort(trace.begin(), trace.end(),
                   [](const TraceItem& a, const TraceItem& b) { return a.arrivalNs < b.arrivalNs; });
  const SimulationReport report = Simulate(trace, PlanFor(load, seed_));
  ExpectPromisesKept(report, load);
  EXPECT_GT(report.refused, 0);
}

TEST_P(Scenario, OverloadKeepsTheGoodput) {
  for (const test::Mix mix : {test::Mix::kLognormal, test::Mix::kShort}) {
    double peak = 0;
    for (const double ofCapacity : {0.8, 0.9, 1.0, 1.2, 1.5}) {
      const Load load{.ofCapacity = ofCapacity, .mix = mix, .executors = 2, .seconds = 30};
      peak = std::max(peak, Simulate(Poisson(load, random_), PlanFor(load, seed_)).goodput);
    }
    const Load load{.ofCapacity = 10, .mix = mix, .executors = 2, .seconds = 30};
    const SimulationReport report = Simulate(Poisson(load, random_), PlanFor(load, seed_));
    ExpectPromisesKept(report, load);
    EXPECT_GE(report.goodput, 0.85 * peak);
    EXPECT_LE(report.regret, 1.10);
  }
}

TEST_P(Scenario, BatchLaneStaysNearTheLowerBoundAndStarvesNobody) {
  Load load{.ofCapacity = 1, .executors = 2, .seconds = 60, .timeoutNs = 0};
  Trace trace = Poisson(load, random_);
  for (TraceItem& item : trace) item.arrivalNs = 0;  // a file: all of it is there
  SimulationPlan plan = PlanFor(load, seed_);
  plan.lane = Lane::kBatch;
  plan.models[0].runNsMax = kBatchRunNsMax;
  plan.queueItemsMax = 256;
  const SimulationReport report = Simulate(trace, plan);
  EXPECT_EQ(report.answered, report.items);
  EXPECT_LE(report.regret, 1.02);
  EXPECT_LE(report.paddedShare, 0.03);
  EXPECT_GE(report.busyShare, 0.99);
  // Past the age bound what is older goes first: at most the rows that waited then, 15 ms each on average.
  EXPECT_LE(report.wait.maxNs, plan.ageMaxNs + 256 * 15 * kMs / 2 * 3 / 2);
}

TEST_P(Scenario, IsDeterministic) {
  const Load load{.ofCapacity = 1.5, .executors = 3, .seconds = 10};
  const Trace trace = Poisson(load, random_);
  const SimulationReport first = Simulate(trace, PlanFor(load, seed_));
  const SimulationReport second = Simulate(trace, PlanFor(load, seed_));
  EXPECT_EQ(first.latency.p99Ns, second.latency.p99Ns);
  EXPECT_EQ(first.goodput, second.goodput);
  EXPECT_EQ(first.runs, second.runs);
  EXPECT_NE(first.latency.p99Ns, Simulate(trace, PlanFor(load, seed_ + 1)).latency.p99Ns);
}

TEST(Simulator, AnswersOneRowAfterItsRun) {
  SimulationPlan plan{.models = {{.rowsMax = 8, .tokensMax = 4096, .cost = test::EncoderCosts()}}, .noise = 0};
  const SimulationReport report = Simulate(Trace{{.arrivalNs = 5 * kMs, .lengths = {32, 0}}}, plan);
  EXPECT_EQ(report.answered, 1);
  EXPECT_EQ(report.runs, 1);
  EXPECT_NEAR(static_cast<double>(report.latency.p50Ns), 10.2 * kMs, 10);
}

TEST(Simulator, RefusesATraceThatIsNone) {
  const SimulationPlan plan{.models = {{}}};
  EXPECT_THROW(Simulate(Trace{{.arrivalNs = 2}, {.arrivalNs = 1}}, plan), std::invalid_argument);
  EXPECT_THROW(Simulate(Trace{{.model = 1}}, plan), std::invalid_argument);
  EXPECT_THROW(Simulate(Trace{{.rows = 0}}, plan), std::invalid_argument);
  EXPECT_EQ(Simulate(Trace{}, plan).items, 0);
}

TEST(Admission, AdmitsWhatFitsBehindTheBacklog) {
  const auto admits = [](AdmissionRequest request) {
    request.waitFactor = 1.75;
    return Admit(request).admitted;
  };
  EXPECT_TRUE(admits({.backlogNs = 100, .executors = 1, .costHighNs = 25, .timeoutNs = 200}));
  EXPECT_FALSE(admits({.backlogNs = 100, .executors = 1, .costHighNs = 26, .timeoutNs = 200}));
  EXPECT_TRUE(admits({.backlogNs = 200, .executors = 2, .costHighNs = 25, .timeoutNs = 200}));
  EXPECT_TRUE(admits({.backlogNs = 1000, .executors = 1, .costHighNs = 75, .timeoutNs = 0}));
}

TEST(Admission, SaysWhenItWouldFit) {
  AdmissionRequest request{.backlogNs = 1000, .executors = 2, .costHighNs = 100, .timeoutNs = 300};
  const Admission refused = Admit(request);
  EXPECT_FALSE(refused.admitted);
  request.backlogNs = 1000 - 2 * refused.retryAfterNs;
  EXPECT_TRUE(Admit(request).admitted);
  request.backlogNs += 40;
  EXPECT_FALSE(Admit(request).admitted);
  EXPECT_EQ(Admit({.backlogNs = 0, .executors = 1, .costHighNs = 301, .timeoutNs = 300}).retryAfterNs, -1);
}

TEST(WaitFactor, FollowsLongWaitsAtOnceAndForgetsThemSlowly) {
  // 480 ms may be waited: all of it was, so next time a fifth stays free.
  const WaitSample slow{.waitNs = 200, .costHighNs = 20, .elapsedNs = 500, .timeoutNs = 500, .waitFactor = 2};
  EXPECT_DOUBLE_EQ(WaitFactorAfter(2, slow), 2.5);
  EXPECT_DOUBLE_EQ(WaitFactorAfter(2.5, slow), 2.5);  // of the same queue
  WaitSample hung = slow;
  hung.elapsedNs = 5000;
  EXPECT_DOUBLE_EQ(WaitFactorAfter(2, hung), 2.5);  // no single one counts for more
  const WaitSample quick{.waitNs = 200, .costHighNs = 20, .elapsedNs = 212, .timeoutNs = 500, .waitFactor = 2};
  double factor = kWaitFactorMax;
  for (int i = 0; i < 1024; ++i) factor = WaitFactorAfter(factor, quick);
  EXPECT_NEAR(factor, kWaitFactorMin + (kWaitFactorMax - kWaitFactorMin) / 2.718, 0.01);
}

TEST(WaitFactor, IsNotRaisedByWhatSaysNothing) {
  const WaitSample slow{.waitNs = 100, .costHighNs = 20, .elapsedNs = 480, .timeoutNs = 500};
  const auto ignores = [](const WaitSample& sample) { return WaitFactorAfter(2, sample) == 2; };
  EXPECT_FALSE(ignores(slow));
  WaitSample sample = slow;
  sample.waitNs = 62;
  EXPECT_TRUE(ignores(sample));
  sample = slow;
  sample.timeoutNs = 0;
  EXPECT_TRUE(ignores(sample));
  sample = slow;
  sample.priority = 129;
  EXPECT_TRUE(ignores(sample));
  sample.priority = 1;
  EXPECT_FALSE(ignores(sample));
  // Quick, but that the queue was half full says nothing about a full one.
  EXPECT_TRUE(ignores({.waitNs = 100, .costHighNs = 20, .elapsedNs = 100, .timeoutNs = 500, .waitFactor = 2}));
}

TEST(WaitFactor, DoesNotStayHighWhereNothingFillsTheQueue) {
  double factor = kWaitFactorMax;
  for (int i = 0; i < 10 * 1024; ++i) factor = WaitFactorAfter(factor, {.timeoutNs = 500});
  EXPECT_NEAR(factor, kWaitFactorStart, 0.01);
  EXPECT_GE(factor, kWaitFactorStart);
}

}  // namespace
}  // namespace interleave
