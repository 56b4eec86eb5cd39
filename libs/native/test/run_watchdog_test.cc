#include "run/watchdog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>

#include "test_models.h"

namespace interleave {
namespace {

using Watch = Watchdog::Watch;
constexpr std::int64_t kMsNs = 1'000'000;
constexpr std::int64_t kHourNs = 3'600'000 * kMsNs;

// Lets a test wait for the next ticks of a watchdog.
class Ticks {
 public:
  std::function<void()> OnTick() {
    return [this] {
      {
        const std::scoped_lock lock(mutex_);
        ++count_;
      }
      changed_.notify_all();
    };
  }
  void WaitForMore(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&, until = count_ + count] { return count_ >= until; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

TEST(Watchdog, AsksARunPastItsLimitToEnd) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 2, .graceNs = kHourNs, .onTick = ticks.OnTick()});
  const auto run = test::Library()->NewRunOptions();
  const Watch watch(watchdog, 1, *test::Library(), run.get(), "model", {.timeNs = 1});
  ticks.WaitForMore(2);
  EXPECT_EQ(watch.ended(), Watch::Ended::kTooLong);
}

TEST(Watchdog, LeavesOtherRunsAlone) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 1, .graceNs = 1, .onTick = ticks.OnTick()});
  const auto run = test::Library()->NewRunOptions();
  { const Watch shortRun(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = kHourNs}); }
  const Watch watch(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = kHourNs});
  ticks.WaitForMore(2);
  EXPECT_EQ(watch.ended(), Watch::Ended::kNo);
}

TEST(Watchdog, CountsOnlyCpuTimeWhereAnExecutorMayBeHeldBack) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 1, .countsCpuTime = true, .graceNs = kHourNs, .onTick = ticks.OnTick()});
  const auto run = test::Library()->NewRunOptions();
  const Watch watch(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = 20 * kMsNs});
  ticks.WaitForMore(5);  // 100 ms in which this thread does nothing
  EXPECT_EQ(watch.ended(), Watch::Ended::kNo);
  while (watch.ended() == Watch::Ended::kNo) {
  }
  EXPECT_EQ(watch.ended(), Watch::Ended::kTooLong);
}

TEST(Watchdog, EndsARunThatCostsTooMuchCpuTime) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 1, .graceNs = kHourNs, .onTick = ticks.OnTick()});
  const auto run = test::Library()->NewRunOptions();
  const Watch watch(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = kHourNs, .cpuNs = 20 * kMsNs});
  ticks.WaitForMore(5);  // 100 ms in which this thread does nothing
  EXPECT_EQ(watch.ended(), Watch::Ended::kNo);
  while (watch.ended() == Watch::Ended::kNo) {
  }
  EXPECT_EQ(watch.ended(), Watch::Ended::kTooCostly);
}

TEST(Watchdog, EndsRunsThatStartAfterTheEnd) {
  Watchdog watchdog({.executorsCount = 1, .graceNs = kHourNs, .onTick = {}});
  const auto run = test::Library()->NewRunOptions();
  {
    const Watch before(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = kHourNs});
    watchdog.EndAllRuns();
    EXPECT_EQ(before.ended(), Watch::Ended::kStopping);
  }
  const Watch after(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = kHourNs});
  EXPECT_EQ(after.ended(), Watch::Ended::kStopping);
}

TEST(WatchdogDeathTest, GivesUpTheProcessWhenARunDoesNotEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto onGiveUp = [](std::size_t executor) { std::fprintf(stderr, "executor %zu\n", executor); };
        Watchdog watchdog({.executorsCount = 1, .graceNs = kMsNs, .onGiveUp = onGiveUp, .onTick = {}});
        const auto run = test::Library()->NewRunOptions();
        const Watch watch(watchdog, 0, *test::Library(), run.get(), "stuck version 3", {.timeNs = 1});
        pause();
      },
      "executor 0\n.*a run of stuck version 3 does not end after its time limit");
}

}  // namespace
}  // namespace interleave
