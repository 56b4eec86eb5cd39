#include "run/watchdog.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <thread>

#include "clock.h"
#include "isolation/thread_isolation.h"
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

// Looks each ms: the watchdog wants the same lock, and a thread that takes it again at once may never leave it to
// others.
void ComputeUntilEnded(const Watch& watch) {
  while (watch.ended() == Watch::Ended::kNo) {
    for (const std::int64_t untilNs = MonotonicNowNs() + kMsNs; MonotonicNowNs() < untilNs;) {
    }
  }
}

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

TEST(Watchdog, CountsCpuTimeAndSleepWhereAnExecutorMayBeHeldBack) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 1, .mayBeHeldBack = true, .graceNs = kHourNs, .onTick = ticks.OnTick()});
  const auto run = test::Library()->NewRunOptions();
  {
    const Watch computing(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = 20 * kMsNs});
    ComputeUntilEnded(computing);
    EXPECT_EQ(computing.ended(), Watch::Ended::kTooLong);
  }
  const Watch sleeping(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = 50 * kMsNs});
  ticks.WaitForMore(5);  // of 20 ms, in which this thread does nothing
  EXPECT_EQ(sleeping.ended(), Watch::Ended::kTooLong);
}

// Both on one CPU, and the kernel gives a thread of the idle class hardly any of it.
TEST(Watchdog, LeavesOutTheTimeInWhichAnExecutorIsHeldBack) {
  std::atomic<int> ticks = 0;
  std::atomic<bool> isOver = false;
  Watchdog watchdog({.executorsCount = 1, .mayBeHeldBack = true, .graceNs = kHourNs, .onTick = [&] { ++ticks; }});
  const int cpu = sched_getcpu();
  std::thread other([&] {
    IsolateExecutor(Lane::kRealtime, cpu);
    while (!isOver) {
    }
  });
  std::thread executor([&] {
    IsolateExecutor(Lane::kBatch, cpu);
    const auto run = test::Library()->NewRunOptions();
    const Watch watch(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = 100 * kMsNs});
    for (const int until = ticks + 15; ticks < until;) {  // 300 ms
    }
    EXPECT_EQ(watch.ended(), Watch::Ended::kNo);
    isOver = true;
  });
  executor.join();
  isOver = true;
  other.join();
}

// The helper shares its CPU with a thread that leaves it none, while the executor spins on whatever CPU it finds.
TEST(Watchdog, LeavesOutTheTimeInWhichAHelperIsHeldBack) {
  std::atomic<int> ticks = 0;
  std::atomic<bool> isOver = false;
  Watchdog watchdog({.executorsCount = 1, .mayBeHeldBack = true, .graceNs = kHourNs, .onTick = [&] { ++ticks; }});
  const int cpu = sched_getcpu();
  const auto turn = [&isOver] {
    while (!isOver) {
    }
  };
  std::thread other([&] {
    IsolateExecutor(Lane::kRealtime, cpu);
    turn();
  });
  std::promise<ThreadTeam::Thread> started;
  std::thread helper([&] {
    IsolateExecutor(Lane::kBatch, cpu);
    clockid_t clock = 0;
    pthread_getcpuclockid(pthread_self(), &clock);
    started.set_value({.tid = gettid(), .cpuClock = clock});
    turn();
  });
  const ThreadTeam::Thread thread = started.get_future().get();
  const auto run = test::Library()->NewRunOptions();
  {
    const Watch watch(watchdog, 0, *test::Library(), run.get(), "model",
                      {.timeNs = 100 * kMsNs, .cpuNs = [] { return 100 * kMsNs; }}, {&thread, 1});
    for (const int until = ticks + 15; ticks < until;) {  // 300 ms
    }
    EXPECT_EQ(watch.ended(), Watch::Ended::kNo);
  }
  isOver = true;
  helper.join();
  other.join();
}

TEST(Watchdog, CountsARunWhoseThreadsAllSleepOrAllRun) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 1, .mayBeHeldBack = true, .graceNs = kHourNs, .onTick = ticks.OnTick()});
  clockid_t clock = 0;
  pthread_getcpuclockid(pthread_self(), &clock);
  const ThreadTeam::Thread same{.tid = gettid(), .cpuClock = clock};
  const auto run = test::Library()->NewRunOptions();
  {
    const Watch sleeping(watchdog, 0, *test::Library(), run.get(), "model", {.timeNs = 50 * kMsNs}, {&same, 1});
    ticks.WaitForMore(5);
    EXPECT_EQ(sleeping.ended(), Watch::Ended::kTooLong);
  }
  const Watch computing(watchdog, 0, *test::Library(), run.get(), "model",
                        {.timeNs = kHourNs, .cpuNs = [] { return 20 * kMsNs; }}, {&same, 1});
  ComputeUntilEnded(computing);
  EXPECT_EQ(computing.ended(), Watch::Ended::kTooCostly);
}

TEST(Watchdog, EndsARunThatCostsTooMuchCpuTime) {
  Ticks ticks;
  Watchdog watchdog({.executorsCount = 1, .graceNs = kHourNs, .onTick = ticks.OnTick()});
  const auto run = test::Library()->NewRunOptions();
  const Watch watch(watchdog, 0, *test::Library(), run.get(), "model",
                    {.timeNs = kHourNs, .cpuNs = [] { return 20 * kMsNs; }});
  ticks.WaitForMore(5);  // 100 ms in which this thread does nothing
  EXPECT_EQ(watch.ended(), Watch::Ended::kNo);
  ComputeUntilEnded(watch);
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
  for (const bool mayBeHeldBack : {false, true}) {
    EXPECT_DEATH(
        {
          const auto onGiveUp = [](std::size_t executor) { std::fprintf(stderr, "executor %zu\n", executor); };
          Watchdog watchdog({.executorsCount = 1,
                             .mayBeHeldBack = mayBeHeldBack,
                             .graceNs = kMsNs,
                             .onGiveUp = onGiveUp,
                             .onTick = {}});
          const auto run = test::Library()->NewRunOptions();
          const Watch watch(watchdog, 0, *test::Library(), run.get(), "stuck version 3", {.timeNs = 1});
          pause();
        },
        "executor 0\n.*a run of stuck version 3 does not end after its time limit");
  }
}

}  // namespace
}  // namespace interleave
